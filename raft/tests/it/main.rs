//! The shared log under crashes, faults and corruption, and groups that replay from it.

mod cluster;
mod damage;
mod failure;
mod groups;
mod model;
mod recovery;
