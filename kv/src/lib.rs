//! Transactional client.
