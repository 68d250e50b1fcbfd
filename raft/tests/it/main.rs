//! The shared log under crashes, faults and corruption, and groups that replay from it.

mod disk;
mod groups;
mod recovery;
