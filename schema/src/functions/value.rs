//! Datums to Rust values and back, so that implementations are written over plain types.
//!
//! The binder converts arguments to the declared types; a datum of another kind is a bug there and answers XX000
//! rather than a panic.

use std::sync::Arc;

use proto::{SqlError, SqlResult};
use sharddb_proto as proto;

use crate::{ArrayValue, Datum, Interval, Numeric, Oid};

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub(super) i32);
/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) i64);
/// A time of day with its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeTz(pub(super) i64, pub(super) i32);
/// A local timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp(pub(super) i64);
/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimestampTz(pub(super) i64);
/// json or jsonb text of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonText<'a>(pub(super) &'a str);
/// A json result.
#[derive(Clone, Debug)]
pub(super) struct Json(pub(super) String);
/// A jsonb result in normal form.
#[derive(Clone, Debug)]
pub(super) struct Jsonb(pub(super) String);
/// An object identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectId(pub(super) u32);

/// What an argument is read as.
pub(super) trait Arg<'a>: Sized {
    /// The value, if the datum is of this kind.
    fn get(datum: &'a Datum) -> Option<Self>;
}

/// What becomes a datum.
pub(super) trait Value {
    /// The datum.
    fn into_datum(self) -> Datum;
}

/// What an implementation answers: a value, an optional one (NULL), or either with an error.
pub(super) trait Answer {
    /// The function's result.
    fn answer(self) -> SqlResult<Datum>;
}

impl<T: Value> Answer for T {
    fn answer(self) -> SqlResult<Datum> {
        Ok(self.into_datum())
    }
}

impl<T: Value> Answer for SqlResult<T> {
    fn answer(self) -> SqlResult<Datum> {
        self.map(Value::into_datum)
    }
}

impl<T: Value> Answer for Option<T> {
    fn answer(self) -> SqlResult<Datum> {
        Ok(self.map_or(Datum::Null, Value::into_datum))
    }
}

impl<T: Value> Answer for SqlResult<Option<T>> {
    fn answer(self) -> SqlResult<Datum> {
        Ok(self?.map_or(Datum::Null, Value::into_datum))
    }
}

macro_rules! values {
    ($($rust:ty: $pattern:pat => $get:expr, $value:ident => $datum:expr;)*) => {$(
        impl Arg<'_> for $rust {
            #[inline]
            fn get(datum: &Datum) -> Option<Self> {
                match datum { $pattern => Some($get), _ => None }
            }
        }
        impl Value for $rust {
            #[inline]
            fn into_datum(self) -> Datum {
                let $value = self;
                $datum
            }
        }
    )*};
}

values! {
    bool: Datum::Bool(v) => *v, v => Datum::Bool(v);
    i16: Datum::Int2(v) => *v, v => Datum::Int2(v);
    i32: Datum::Int4(v) => *v, v => Datum::Int4(v);
    i64: Datum::Int8(v) => *v, v => Datum::Int8(v);
    f32: Datum::Float4(v) => *v, v => Datum::Float4(v);
    f64: Datum::Float8(v) => *v, v => Datum::Float8(v);
    Date: Datum::Date(v) => Date(*v), v => Datum::Date(v.0);
    Time: Datum::Time(v) => Time(*v), v => Datum::Time(v.0);
    TimeTz: Datum::TimeTz(v, west) => TimeTz(*v, *west), v => Datum::TimeTz(v.0, v.1);
    Timestamp: Datum::Timestamp(v) => Timestamp(*v), v => Datum::Timestamp(v.0);
    TimestampTz: Datum::TimestampTz(v) => TimestampTz(*v), v => Datum::TimestampTz(v.0);
    Interval: Datum::Interval(v) => *v, v => Datum::Interval(v);
    ObjectId: Datum::Oid(v) => ObjectId(*v), v => Datum::Oid(v.0);
}

macro_rules! borrowed {
    ($($rust:ty: $pattern:pat => $get:expr;)*) => {$(
        impl<'a> Arg<'a> for $rust {
            #[inline]
            fn get(datum: &'a Datum) -> Option<Self> {
                match datum { $pattern => Some($get), _ => None }
            }
        }
    )*};
}

borrowed! {
    &'a str: Datum::Text(v) => v;
    &'a Arc<str>: Datum::Text(v) => v;
    &'a Numeric: Datum::Numeric(v) => v;
    &'a [u8]: Datum::Bytes(v) => v;
    &'a ArrayValue: Datum::Array(v) => v;
    &'a Arc<ArrayValue>: Datum::Array(v) => v;
    &'a Arc<[(Oid, Datum)]>: Datum::Record(v) => v;
    &'a [u8; 16]: Datum::Uuid(v) => v;
    JsonText<'a>: Datum::Json(v) | Datum::Jsonb(v) => JsonText(v);
}

impl<'a> Arg<'a> for &'a Datum {
    #[inline]
    fn get(datum: &'a Datum) -> Option<Self> {
        Some(datum)
    }
}

macro_rules! owned {
    ($($rust:ty: $value:ident => $datum:expr;)*) => {$(
        impl Value for $rust {
            #[inline]
            fn into_datum(self) -> Datum {
                let $value = self;
                $datum
            }
        }
    )*};
}

owned! {
    Datum: v => v;
    Numeric: v => Datum::Numeric(v);
    &str: v => Datum::text(v);
    String: v => Datum::text(v);
    Arc<str>: v => Datum::Text(v);
    Vec<u8>: v => Datum::Bytes(v.into());
    ArrayValue: v => Datum::Array(Arc::new(v));
    Arc<ArrayValue>: v => Datum::Array(v);
    Json: v => Datum::Json(v.0.into());
    Jsonb: v => Datum::Jsonb(v.0.into());
    [u8; 16]: v => Datum::Uuid(v);
}

/// XX000: the binder passed what the signature does not allow.
#[cold]
pub(super) fn mismatch(args: &[Datum]) -> SqlError {
    SqlError::internal(format!("function called with arguments of other types: {args:?}"))
}

macro_rules! callers {
    ($($(#[$doc:meta])* $name:ident($($type:ident $arg:ident),+);)*) => {$(
        $(#[$doc])*
        #[inline]
        pub(super) fn $name<'a, $($type: Arg<'a>,)+ R: Answer>(
            args: &'a [Datum],
            compute: impl FnOnce($($type),+) -> R,
        ) -> SqlResult<Datum> {
            let [$($arg),+] = args else { return Err(mismatch(args)) };
            match ($($type::get($arg),)+) {
                ($(Some($arg),)+) => compute($($arg),+).answer(),
                _ => Err(mismatch(args)),
            }
        }
    )*};
}

callers! {
    /// Calls with one argument.
    one(A a);
    /// Calls with two arguments.
    two(A a, B b);
    /// Calls with three arguments.
    three(A a, B b, C c);
    /// Calls with four arguments.
    four(A a, B b, C c, D d);
    /// Calls with six arguments.
    six(A a, B b, C c, D d, E e, F f);
    /// Calls with seven arguments.
    seven(A a, B b, C c, D d, E e, F f, G g);
}
