//! Runs bound statements against the transactional client.
