//! Command tags: what CommandComplete says.

use std::fmt;

/// The tag of a finished command, printed as PostgreSQL prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandTag {
    /// SELECT n
    Select(u64),
    /// INSERT 0 n
    Insert(u64),
    /// UPDATE n
    Update(u64),
    /// DELETE n
    Delete(u64),
    /// COPY n
    Copy(u64),
    /// FETCH n
    Fetch(u64),
    /// MOVE n
    Move(u64),
    /// Any other: BEGIN, CREATE TABLE …
    Named(&'static str),
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Select(rows) => write!(f, "SELECT {rows}"),
            Self::Insert(rows) => write!(f, "INSERT 0 {rows}"),
            Self::Update(rows) => write!(f, "UPDATE {rows}"),
            Self::Delete(rows) => write!(f, "DELETE {rows}"),
            Self::Copy(rows) => write!(f, "COPY {rows}"),
            Self::Fetch(rows) => write!(f, "FETCH {rows}"),
            Self::Move(rows) => write!(f, "MOVE {rows}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}
