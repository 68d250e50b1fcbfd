//! PostgreSQL protocol.
