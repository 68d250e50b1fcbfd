//! No function panics, whatever values of its types it is given; sets are read to some length.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use schema::{
    ArrayValue, Datum, Interval, Numeric, Oid, SqlType,
    functions::{all_aggregates, all_functions, all_set_functions},
};
use sharddb_schema as schema;

use crate::evaluate;

/// Calls of each function.
const CALLS: usize = 60;
/// Rows read of each set.
const ROWS: usize = 50;

const TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "abc",
    "héllo wörld",
    "A.b%_\\",
    "%",
    "\\",
    "1",
    "-12.5",
    "2024-02-29 13:04:05.678",
    "YYYY-MM-DD HH24:MI:SS.US TZH",
    "FM9,990.00S",
    "9EEEE",
    "RN",
    "(a|b)*c",
    "[[:alpha:]]+\\d{2}",
    "(",
    "\\m",
    "gi",
    "UTC",
    "+02:30",
    "year",
    "epoch",
    "hex",
    "base64",
    "escape",
    "{\"a\":[1,null]}",
    "int4",
    "\"x\".y",
    "%1$s %I %L %%",
    "%*s",
    "\u{1f600}",
];
const NUMBERS: &[&str] =
    &["0", "1", "-1", "0.5", "-2.50", "1e30", "-1e-30", "NaN", "Infinity", "-Infinity", "99999999999999999999.999"];
const DOCUMENTS: &[&str] =
    &["null", "1", "\"a\"", "[]", "{}", "[1, \"a\", [2]]", "{\"a\": 1, \"b\": {\"c\": [true, null]}}"];
const MOMENTS: &[i64] = &[i64::MIN, i64::MAX, -210_866_803_200_000_000, i64::MAX - 1, 0, -1, 1_709_211_845_678_901];

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(TEXTS)
}

fn numeric() -> impl Strategy<Value = Datum> {
    prop::sample::select(NUMBERS).prop_map(|text| Datum::Numeric(Numeric::parse(text).expect("a number")))
}

fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(1), Just(-1), 0..40_i64, Just(i64::MIN), Just(i64::MAX)]
}

fn narrow<T: TryFrom<i64>>(value: i64, least: T, greatest: T) -> T {
    T::try_from(value).unwrap_or(if value < 0 { least } else { greatest })
}

/// A value of a type, or NULL now and then where a function takes it.
fn value(oid: Oid) -> BoxedStrategy<Datum> {
    if let Some(element) = schema::functions::element_of(oid) {
        let values = prop::collection::vec(prop_oneof![9 => value(element), 1 => Just(Datum::Null)], 0..4);
        return (values, prop::sample::select(&[1, 0, -5, i32::MAX - 9][..]))
            .prop_map(move |(values, lower)| {
                let dims = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, lower)] };
                Datum::Array(Arc::new(ArrayValue { element, dims, values }))
            })
            .boxed();
    }
    match oid {
        Oid::BOOL => any::<bool>().prop_map(Datum::Bool).boxed(),
        Oid::INT2 => integer().prop_map(|v| Datum::Int2(narrow(v, i16::MIN, i16::MAX))).boxed(),
        Oid::INT4 => integer().prop_map(|v| Datum::Int4(narrow(v, i32::MIN, i32::MAX))).boxed(),
        Oid::INT8 => integer().prop_map(Datum::Int8).boxed(),
        Oid::FLOAT4 => any::<f32>().prop_map(Datum::Float4).boxed(),
        Oid::FLOAT8 => {
            let some =
                [0.0, -0.0, 1.0, -1.5, 0.5, f64::MAX, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            prop::sample::select(some.to_vec()).prop_map(Datum::Float8).boxed()
        }
        Oid::NUMERIC => numeric().boxed(),
        Oid::CHAR => any::<u8>().prop_map(Datum::Char).boxed(),
        Oid::BYTEA => prop::collection::vec(any::<u8>(), 0..9).prop_map(|v| Datum::Bytes(v.into())).boxed(),
        Oid::DATE => prop::sample::select(&[i32::MIN, i32::MAX, -2_440_588, 2_145_042_905, 0, 19_782][..])
            .prop_map(Datum::Date)
            .boxed(),
        Oid::TIME => (0..=86_400_000_000_i64).prop_map(Datum::Time).boxed(),
        Oid::TIMETZ => (0..=86_400_000_000_i64, -57_599..57_600).prop_map(|(t, w)| Datum::TimeTz(t, w)).boxed(),
        Oid::TIMESTAMP => prop::sample::select(MOMENTS).prop_map(Datum::Timestamp).boxed(),
        Oid::TIMESTAMPTZ => prop::sample::select(MOMENTS).prop_map(Datum::TimestampTz).boxed(),
        Oid::INTERVAL => (integer(), integer(), integer())
            .prop_map(|(months, days, micros)| {
                let (months, days) = (narrow(months, i32::MIN, i32::MAX), narrow(days, i32::MIN, i32::MAX));
                Datum::Interval(Interval { months, days, micros })
            })
            .boxed(),
        Oid::UUID => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        Oid::JSON => prop::sample::select(DOCUMENTS).prop_map(|v| Datum::Json(v.into())).boxed(),
        Oid::JSONB => prop::sample::select(DOCUMENTS).prop_map(|v| Datum::Jsonb(v.into())).boxed(),
        Oid::RECORD => (value(Oid::INT4), value(Oid::TEXT))
            .prop_map(|(a, b)| Datum::Record(vec![(Oid::INT4, a), (Oid::TEXT, b), (Oid::INT4, Datum::Null)].into()))
            .boxed(),
        Oid::OID | Oid::XID | Oid::REGCLASS | Oid::REGTYPE | Oid::REGPROC | Oid::REGROLE | Oid::REGNAMESPACE => {
            prop::sample::select(&[0, 23, 1259, u32::MAX][..]).prop_map(Datum::Oid).boxed()
        }
        Oid::ANYARRAY | Oid::ANYCOMPATIBLEARRAY => value(Oid(1007)),
        Oid::ANY | Oid::ANYELEMENT | Oid::ANYNONARRAY | Oid::ANYCOMPATIBLE => value(Oid::INT4),
        _ => text().prop_map(Datum::text).boxed(),
    }
}

fn args(fixed: &[Oid], variadic: Option<Oid>, strict: bool, runner: &mut TestRunner) -> Vec<Datum> {
    let further = if variadic.is_some() { 1 + runner.rng().random_range(0..3_usize) } else { 0 };
    let types = fixed.iter().copied().chain(std::iter::repeat_n(variadic.unwrap_or_default(), further));
    let mut made: Vec<Datum> = types.map(|oid| value(oid).new_tree(runner).expect("a value").current()).collect();
    if !strict && !made.is_empty() && runner.rng().random_range(0..4) == 0 {
        let at = runner.rng().random_range(0..made.len());
        made[at] = Datum::Null;
    }
    made
}

#[test]
fn scalar_functions_do_not_panic() {
    let (env, mut runner) = (evaluate::env(), TestRunner::deterministic());
    let mut panicked = BTreeSet::new();
    for function in all_functions() {
        for _ in 0..CALLS {
            let args = args(function.args, function.variadic, function.strict, &mut runner);
            // The result does not matter, only that there is one.
            let call = AssertUnwindSafe(|| drop((function.eval)(&env, &args)));
            if catch_unwind(call).is_err() {
                panicked.insert(format!("{} {args:?}", function.key()));
                break;
            }
        }
    }
    assert!(panicked.is_empty(), "{panicked:#?}");
}

#[test]
fn set_functions_do_not_panic() {
    let (env, mut runner) = (evaluate::env(), TestRunner::deterministic());
    for function in all_set_functions() {
        for _ in 0..CALLS {
            let args = args(function.args, function.variadic, function.strict, &mut runner);
            if let Ok(rows) = (function.eval)(&env, &args) {
                rows.take(ROWS).for_each(drop);
            }
        }
    }
}

#[test]
fn aggregates_do_not_panic_and_merge_with_themselves() {
    let mut runner = TestRunner::deterministic();
    for function in all_aggregates() {
        for _ in 0..CALLS {
            let types: Vec<SqlType> = function.args.iter().copied().map(SqlType::new).collect();
            let mut accumulator = (function.accumulator)(&types);
            for _ in 0..4 {
                let _added = accumulator.update(&args(function.args, function.variadic, function.strict, &mut runner));
            }
            if let Ok(state) = accumulator.state() {
                let _merged = accumulator.merge(&state);
            }
            let _result = accumulator.finish();
        }
    }
}
