//! No work: a build script is what makes the build-dependencies count.

fn main() {}
