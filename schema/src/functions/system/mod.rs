//! Functions that tell of the session, the catalog and the system.
//!
//! What they read comes from the evaluation context and, through its host, from the session. Where there is no host a
//! function that needs one fails; none of them is pushed to shards.

mod advisory;
mod builtin_names;
mod count;
mod definition;
mod describe;
mod extreme;
mod keywords;
pub(super) mod names;
mod privilege;
mod record;
mod routine;
mod sequence;
mod session;
mod size;
mod types;
mod visible;

pub(super) use advisory::ADVISORY;
pub(super) use count::COUNT;
pub(super) use describe::{ASKED, DESCRIBE};
pub(super) use extreme::EXTREME;
pub(super) use keywords::KEYWORDS;
pub(super) use names::NAMES;
pub(super) use privilege::{COLUMN_PRIVILEGES, PRIVILEGES, ROLES};
pub(super) use routine::ROUTINE;
pub(super) use sequence::SEQUENCE;
pub(super) use session::{CONTROL, SESSION};
pub(super) use size::SIZES;
pub(super) use types::{FORMAT, TYPE_OF};
pub(super) use visible::VISIBLE;

pub use builtin_names::COLLATIONS;
pub(crate) use builtin_names::builtin_name;
pub use definition::{constraint_definition, expression_text, index_definition, view_text};
pub use names::{ObjectNames, object_name, resolve_object};
pub use record::{record_field, record_is_null};
pub use types::{format_type, type_by_name};

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use super::{EvalContext, Host};

/// The session that runs the statement.
fn host(env: &EvalContext) -> SqlResult<&dyn Host> {
    env.host.as_deref().ok_or_else(|| SqlError::internal("a function of the session is called outside of one"))
}
