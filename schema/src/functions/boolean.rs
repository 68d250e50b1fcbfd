//! Functions on boolean.

use super::{Function, table::function, value::two};
use crate::Oid;

/// The transition functions of bool_and and bool_or, which are callable as any other.
pub(super) static FUNCTIONS: &[Function] = &[
    function("booland_statefunc", &[Oid::BOOL; 2], Oid::BOOL, |_, args| two(args, |a: bool, b: bool| a && b)),
    function("boolor_statefunc", &[Oid::BOOL; 2], Oid::BOOL, |_, args| two(args, |a: bool, b: bool| a || b)),
];
