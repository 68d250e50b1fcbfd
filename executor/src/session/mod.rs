//! A client's session: settings, transaction state, prepared statements and cursors.

mod alter_system;
mod cancel;
mod changing;
mod control;
mod copy_streams;
mod core;
mod cursors;
mod execute;
mod explain;
mod host;
mod joined;
mod locking;
mod maintenance;
mod named;
mod notice;
mod outcome;
mod past;
mod planning;
mod prepared;
mod settings;
mod statements;
mod tag;
mod temporary;
mod transaction;

pub(crate) use alter_system::cluster_value;
pub use cancel::CancelHandle;
pub use copy_streams::{CopyIn, CopyOut};
pub(crate) use host::SessionHost;
pub use notice::{Notice, Severity};
pub use outcome::{Outcome, RowBatch, RowStream};
pub use prepared::{Parsed, Prepared};
pub(crate) use settings::{Kind as ParameterKind, ParameterRow};
pub use tag::CommandTag;
pub(crate) use transaction::{Block, Mode, Transaction};

pub(crate) use self::core::micros_now;
pub use self::core::{Session, SessionStart, TransactionStatus};
