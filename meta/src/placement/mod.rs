//! Where replicas and leaders are to be.

pub mod factor;
