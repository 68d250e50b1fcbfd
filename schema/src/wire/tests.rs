//! Round trips, PostgreSQL's own bytes, and garbage.

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::{ArrayValue, FormatSettings, Interval, Numeric, Oid, all_types, compare};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(value: &Datum, oid: Oid) -> BytesMut {
    let mut out = BytesMut::new();
    encode_binary(value, SqlType::new(oid), &mut out).expect("encodes");
    out
}

fn array(dims: &[(i32, i32)], values: Vec<Datum>) -> Datum {
    Datum::Array(Arc::new(ArrayValue { element: Oid::INT4, dims: dims.to_vec(), values }))
}

#[test]
fn bytes_are_postgresqls() {
    let numeric = |text: &str| Datum::Numeric(Numeric::parse(text).expect("a number"));
    let record = [(Oid::INT4, Datum::Int4(1)), (Oid::TEXT, Datum::text("a")), (Oid::INT8, Datum::Null)];
    for (oid, value, bytes) in [
        (Oid::TIMETZ, Datum::TimeTz(43_200_500_000, -7200), "0000000a0ef35120ffffe3e0"),
        (
            Oid::INTERVAL,
            Datum::Interval(Interval { months: 1, days: 2, micros: 3_000_000 }),
            "00000000002dc6c00000000200000001",
        ),
        (
            Oid(1007),
            array(&[(2, 1), (2, 1)], vec![Datum::Int4(1), Datum::Int4(2), Datum::Int4(3), Datum::Null]),
            "000000020000000100000017000000020000000100000002000000010000000400000001000000040000000200000004\
             00000003ffffffff",
        ),
        (Oid(1007), array(&[], Vec::new()), "000000000000000000000017"),
        (
            Oid::RECORD,
            Datum::Record(Arc::from(record)),
            "0000000300000017000000040000000100000019000000016100000014ffffffff",
        ),
        (Oid::JSONB, Datum::Jsonb("{\"a\": 1}".into()), "017b2261223a20317d"),
        (Oid::NUMERIC, numeric("123.4500"), "0002000000000004007b1194"),
        (Oid::NUMERIC, numeric("0.0001"), "0001ffff000000040001"),
        (Oid::NUMERIC, numeric("10000"), "00010001000000000001"),
        (Oid::DATE, Datum::Date(i32::MAX), "7fffffff"),
        (Oid::DATE, Datum::Date(10_958), "00000001"),
        (Oid::TIMESTAMP, Datum::Timestamp(i64::MIN), "8000000000000000"),
        (Oid::CHAR, Datum::Char(b'a'), "61"),
    ] {
        let out = encoded(&value, oid);
        assert_eq!(hex(&out), bytes.replace(' ', ""), "{value:?}");
        let back = decode_binary(&out, SqlType::new(oid)).expect("decodes");
        assert!(compare::equal(&back, &value), "{value:?} {back:?}");
    }
}

#[test]
fn damaged_values_are_refused_as_in_postgresql() {
    let code = |oid: Oid, bytes: &[u8]| {
        decode_binary(bytes, SqlType::new(oid)).map_or_else(|error| error.state().code(), |_| "ok")
    };
    assert_eq!(code(Oid::INT4, &[0, 0, 0]), "08P01");
    assert_eq!(code(Oid::INT4, &[0; 5]), "22P03");
    assert_eq!(code(Oid::TEXT, &[0xff]), "22021");
    assert_eq!(code(Oid::TEXT, &[b'a', 0]), "22021");
    assert_eq!(code(Oid::TIME, &[0xff; 8]), "22008");
    assert_eq!(code(Oid::JSONB, b"\x02{}"), "XX000");
    assert_eq!(code(Oid(1007), &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 23]), "54000");
    // One dimension of 2^31-1 elements, none of which is there.
    let huge = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1];
    assert_eq!(code(Oid(1007), &huge), "54000");
    assert_eq!(code(Oid(1007), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25]), "42804");
}

#[test]
fn text_is_written_as_postgresql_writes_it() {
    let show = |value: Datum, oid: Oid| {
        let mut out = BytesMut::new();
        encode_text(&value, SqlType::new(oid), &FormatSettings::default(), &mut out);
        String::from_utf8(out.to_vec()).expect("UTF-8")
    };
    assert_eq!(show(Datum::Int8(i64::MIN), Oid::INT8), "-9223372036854775808");
    assert_eq!(show(Datum::Int4(0), Oid::INT4), "0");
    assert_eq!(show(Datum::Bool(true), Oid::BOOL), "t");
    assert_eq!(show(Datum::Float8(0.1), Oid::FLOAT8), "0.1");
}

fn scalar() -> impl Strategy<Value = (Oid, Datum)> {
    prop_oneof![
        any::<bool>().prop_map(|v| (Oid::BOOL, Datum::Bool(v))),
        any::<i16>().prop_map(|v| (Oid::INT2, Datum::Int2(v))),
        any::<i32>().prop_map(|v| (Oid::INT4, Datum::Int4(v))),
        any::<i64>().prop_map(|v| (Oid::INT8, Datum::Int8(v))),
        any::<f32>().prop_map(|v| (Oid::FLOAT4, Datum::Float4(v))),
        any::<f64>().prop_map(|v| (Oid::FLOAT8, Datum::Float8(v))),
        (any::<i128>(), 0..30_u16)
            .prop_map(|(digits, scale)| (Oid::NUMERIC, Datum::Numeric(Numeric::Small { digits, scale }))),
        "\\PC{0,12}".prop_map(|v| (Oid::TEXT, Datum::text(v))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|v| (Oid::BYTEA, Datum::Bytes(v.into()))),
        (-700_000..2_000_000).prop_map(|v| (Oid::DATE, Datum::Date(v))),
        (0..86_400_000_000_i64).prop_map(|v| (Oid::TIME, Datum::Time(v))),
        (0..86_400_000_000_i64, -57_000..57_000).prop_map(|(v, west)| (Oid::TIMETZ, Datum::TimeTz(v, west))),
        (-60_000_000_000_000_000..250_000_000_000_000_000_i64).prop_map(|v| (Oid::TIMESTAMP, Datum::Timestamp(v))),
        (-60_000_000_000_000_000..250_000_000_000_000_000_i64).prop_map(|v| (Oid::TIMESTAMPTZ, Datum::TimestampTz(v))),
        (any::<i32>(), any::<i32>(), any::<i64>())
            .prop_map(|(months, days, micros)| (Oid::INTERVAL, Datum::Interval(Interval { months, days, micros }))),
        any::<[u8; 16]>().prop_map(|v| (Oid::UUID, Datum::Uuid(v))),
        any::<u32>().prop_map(|v| (Oid::OID, Datum::Oid(v))),
    ]
}

proptest! {
    #[test]
    fn binary_round_trips((oid, value) in scalar()) {
        let back = decode_binary(&encoded(&value, oid), SqlType::new(oid)).expect("decodes");
        prop_assert!(compare::equal(&back, &value), "{:?} {:?}", value, back);
    }

    #[test]
    fn arrays_round_trip((oid, value) in scalar(), copies in 1..5_i32, nulls in any::<bool>()) {
        let mut values = vec![value; copies as usize];
        if nulls {
            values[0] = Datum::Null;
        }
        let array = Datum::Array(Arc::new(ArrayValue { element: oid, dims: vec![(copies, -1)], values }));
        let array_type = oid.array_type().expect("has arrays");
        let back = decode_binary(&encoded(&array, array_type), SqlType::new(array_type)).expect("decodes");
        prop_assert!(compare::equal(&back, &array), "{:?} {:?}", array, back);
    }

    #[test]
    fn garbage_never_panics(
        oid in prop::sample::select(all_types().map(|info| info.oid).collect::<Vec<_>>()),
        bytes in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        if let Ok(value) = decode_binary(&bytes, SqlType::new(oid)) {
            let mut out = BytesMut::new();
            encode_text(&value, SqlType::new(oid), &FormatSettings::default(), &mut out);
        }
    }

    #[test]
    fn damaged_arrays_never_panic(mut bytes in prop::collection::vec(0..3_u8, 12..60), at in 0..12_usize, byte in any::<u8>()) {
        bytes[11] = 23;
        bytes[at] = byte;
        let _result = decode_binary(&bytes, SqlType::new(Oid(1007)));
    }
}
