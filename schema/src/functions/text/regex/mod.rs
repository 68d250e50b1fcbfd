//! Regular expressions: PostgreSQL's advanced regular expressions on the `regex` engine.
//!
//! A pattern is translated (`translate`), compiled once and kept in a small cache of the thread. Where a pattern has
//! only greedy quantifiers the longest match at the leftmost place is taken, as POSIX wants it. Back references and
//! lookaround, which no linear-time engine can do, are 0A000.

mod functions;
mod pattern;
mod similar;
mod translate;

pub(in crate::functions) use functions::{INSPECT, REPLACE, SPLIT, matches, split};
pub(in crate::functions) use operators::OPERATORS;
pub(in crate::functions) use pattern::{Flags, compile};
pub(in crate::functions) use similar::SIMILAR;

use proto::{SqlError, SqlState};
use sharddb_proto as proto;

/// 2201B.
pub(super) fn invalid(reason: &str) -> SqlError {
    SqlError::new(SqlState::InvalidRegularExpression, format!("invalid regular expression: {reason}"))
}

mod operators {
    //! `~`, `!~`, `~*` and `!~*`.

    use proto::SqlResult;
    use sharddb_proto as proto;

    use super::{Flags, compile};
    use crate::{
        Oid,
        functions::{Function, table::operator, value::two},
    };

    const SENSITIVE: Flags = Flags::NONE;
    const INSENSITIVE: Flags = Flags { ignore_case: true, ..Flags::NONE };

    fn test(text: &str, pattern: &str, flags: Flags) -> SqlResult<bool> {
        Ok(compile(pattern, flags)?.is_match(text))
    }

    macro_rules! operators {
        ($($prefix:literal $left:ident;)*) => { &[$(
            operator(concat!($prefix, "regexeq"), "~", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| {
                two(args, |text: &str, pattern: &str| test(text, pattern, SENSITIVE))
            }),
            operator(concat!($prefix, "regexne"), "!~", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| {
                two(args, |text: &str, pattern: &str| test(text, pattern, SENSITIVE).map(|found| !found))
            }),
            operator(concat!($prefix, "icregexeq"), "~*", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| {
                two(args, |text: &str, pattern: &str| test(text, pattern, INSENSITIVE))
            }),
            operator(concat!($prefix, "icregexne"), "!~*", &[Oid::$left, Oid::TEXT], Oid::BOOL, |_, args| {
                two(args, |text: &str, pattern: &str| test(text, pattern, INSENSITIVE).map(|found| !found))
            }),
        )*] };
    }

    /// The matching operators.
    pub(in crate::functions) static OPERATORS: &[Function] = operators! {
        "text" TEXT;
        "bpchar" BPCHAR;
        "name" NAME;
    };
}
