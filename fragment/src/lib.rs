//! What the general path and the shards share of DataFusion: types, functions and serialized fragments.
//!
//! A fragment is a physical plan over one leaf, the scan of a table's rows at one shard. The executor builds and
//! encodes it, the shard decodes it and gives the leaf its rows. Values cross as Arrow arrays.
//!
//! Does not: read storage (the shard gives a [`LeafSource`]), plan queries (the executor does), know transactions.

mod aggregate;
mod builder;
mod codec;
mod column;
mod error;
mod keys;
mod logic;
mod numeric;
mod registry;
mod rows;
mod scalar;
mod scan;
mod transport;
mod types;
mod wire;

pub use aggregate::{AggregateSpec, CallOrder, FIRST, PgAggregate};
pub use builder::{ColumnBuilder, array_of, normalize, null_array};
pub use codec::{decode_fragment, encode_fragment, is_encodable};
pub use column::{Column, batch_rows, datum_at};
pub use error::{from_arrow, from_datafusion, to_datafusion};
pub use keys::{KeyForm, key_array, key_form, key_type};
pub use logic::{Logic, LogicKind};
pub use rows::{RowsBuilder, ScanColumn};
pub use scalar::{Operation, PgScalar, SubscriptKind, scalar_to_datum, scalar_value};
pub use scan::{KEY_COLUMN, LeafSource, ScanLeaf, ScanSpec};
pub use transport::{FragmentEnd, FragmentError, FragmentPart, FragmentRows, FragmentStream, FragmentTransport};
pub use types::{OID_KEY, Shape, TYPMOD_KEY, UTC, arrow_type, plain_field, plain_schema, sql_type_of, typed_field};
