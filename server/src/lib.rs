//! The server as a library: used by the binary and by tests.
