//! A client's session: settings, transaction state, prepared statements and cursors.

mod cancel;
mod copy_streams;
mod core;
mod notice;
mod outcome;
mod prepared;
mod settings;
mod tag;
mod transaction;

pub use cancel::CancelHandle;
pub use copy_streams::{CopyIn, CopyOut};
pub use notice::{Notice, Severity};
pub use outcome::{Outcome, RowBatch, RowStream};
pub use prepared::{Parsed, Prepared};
pub use tag::CommandTag;

pub use self::core::{Session, SessionStart, TransactionStatus};
