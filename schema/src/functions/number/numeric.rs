//! Arithmetic on numeric.

use crate::{
    Numeric, Oid,
    functions::{
        Function,
        table::{function, operator},
        value::{one, two},
    },
};

const PAIR: &[Oid] = &[Oid::NUMERIC; 2];
const SINGLE: &[Oid] = &[Oid::NUMERIC];

/// The four operations, remainder and signs.
pub(in crate::functions) static NUMERIC: &[Function] = &[
    operator("numeric_add", "+", PAIR, Oid::NUMERIC, |_, args| two(args, |a: &Numeric, b: &Numeric| a.add(b))),
    operator("numeric_sub", "-", PAIR, Oid::NUMERIC, |_, args| two(args, |a: &Numeric, b: &Numeric| a.sub(b))),
    operator("numeric_mul", "*", PAIR, Oid::NUMERIC, |_, args| two(args, |a: &Numeric, b: &Numeric| a.mul(b))),
    operator("numeric_div", "/", PAIR, Oid::NUMERIC, |_, args| two(args, |a: &Numeric, b: &Numeric| a.div(b))),
    operator("numeric_mod", "%", PAIR, Oid::NUMERIC, |_, args| two(args, |a: &Numeric, b: &Numeric| a.rem(b))),
    function("mod", PAIR, Oid::NUMERIC, |_, args| two(args, |a: &Numeric, b: &Numeric| a.rem(b))),
    operator("numeric_uminus", "-", SINGLE, Oid::NUMERIC, |_, args| one(args, |a: &Numeric| a.neg())),
    operator("numeric_uplus", "+", SINGLE, Oid::NUMERIC, |_, args| one(args, |a: &Numeric| a.clone())),
    operator("numeric_abs", "@", SINGLE, Oid::NUMERIC, |_, args| one(args, |a: &Numeric| a.abs())),
];
