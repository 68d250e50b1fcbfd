//! Round trips, evolution of the table, and garbage.

use proptest::prelude::*;

use super::*;
use crate::{ArrayValue, ColumnId, Datum, Interval, Numeric, Oid, Sharding, SqlType, TableDescriptor, key};

fn table(types: &[Oid]) -> TableDescriptor {
    key::tests::table(types, &[], Sharding::Range { shards: 1 })
}

const TYPES: [Oid; 8] =
    [Oid::INT4, Oid::TEXT, Oid::BOOL, Oid::INT8, Oid::FLOAT8, Oid::UUID, Oid::BYTEA, Oid::TIMESTAMP];

fn row() -> impl Strategy<Value = Vec<Datum>> {
    fn null_or(strategy: impl Strategy<Value = Datum>) -> impl Strategy<Value = Datum> {
        prop_oneof![4 => strategy, 1 => Just(Datum::Null)]
    }
    (
        null_or(any::<i32>().prop_map(Datum::Int4)),
        null_or(any::<String>().prop_map(Datum::text)),
        null_or(any::<bool>().prop_map(Datum::Bool)),
        null_or(any::<i64>().prop_map(Datum::Int8)),
        null_or((-1e300..1e300).prop_map(Datum::Float8)),
        null_or(any::<[u8; 16]>().prop_map(Datum::Uuid)),
        null_or(any::<Vec<u8>>().prop_map(|v| Datum::Bytes(v.into()))),
        null_or(any::<i64>().prop_map(Datum::Timestamp)),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| vec![a, b, c, d, e, f, g, h])
}

fn shown(row: &[Datum]) -> String {
    format!("{row:?}")
}

proptest! {
    #[test]
    fn a_row_reads_as_written(row in row()) {
        let table = table(&TYPES);
        let value = encode_row(&table, &row).unwrap();
        prop_assert_eq!(shown(&decode_row(&table, &value).unwrap()), shown(&row));
        let picked = RowDecoder::new(&table, [7, 0, 3]).unwrap().decode(&value).unwrap();
        prop_assert_eq!(shown(&picked), shown(&[row[7].clone(), row[0].clone(), row[3].clone()]));
    }

    #[test]
    fn garbage_is_an_error_or_a_row_but_never_a_panic(mut bytes in any::<Vec<u8>>(), format in any::<bool>()) {
        if format {
            bytes.insert(0, FORMAT);
        }
        let _ = decode_row(&table(&TYPES), &bytes);
    }

    #[test]
    fn payloads_read_as_written(digits in any::<i128>(), small in any::<i8>(), scale in any::<u16>(), bytes in any::<Vec<u8>>()) {
        let small = Datum::Numeric(Numeric::Small { digits: small.into(), scale });
        let element = Datum::Numeric(Numeric::Small { digits, scale });
        let array = ArrayValue { element: Oid::NUMERIC, dims: vec![(2, 1)], values: vec![element, Datum::Null] };
        let interval = Datum::Interval(Interval { months: scale.into(), days: -1, micros: 7 });
        let record = Datum::Record([(Oid::NUMERIC, small), (Oid::INTERVAL, interval), (Oid(1231), Datum::Array(array.into()))].into());
        let mut encoded = Vec::new();
        encode_payload(&record, &mut encoded);
        prop_assert_eq!(format!("{:?}", decode_payload(&encoded).unwrap()), format!("{record:?}"));
        let _ = decode_payload(&bytes);
    }

    #[test]
    fn damaged_rows_never_panic(row in row(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let table = table(&TYPES);
        let mut value = encode_row(&table, &row).unwrap();
        let at = at.index(value.len());
        value[at] = byte;
        let _ = decode_row(&table, &value);
        value.truncate(at);
        let _ = decode_row(&table, &value);
    }
}

#[test]
fn the_layout_is_fixed() {
    let table = table(&[Oid::INT4, Oid::INT4, Oid::TEXT]);
    let value = encode_row(&table, &[Datum::Int4(7), Datum::Null, Datum::text("ab")]).unwrap();
    assert_eq!(value, [0x01, 0x0c, 7, 0, 0, 0, 0x10, 2, b'a', b'b']);
}

#[test]
fn dropped_columns_are_skipped_and_added_ones_read_as_missing() {
    let mut table = table(&[Oid::INT4, Oid::TEXT]);
    let value = encode_row(&table, &[Datum::Int4(7), Datum::text("ab")]).unwrap();
    let mut added = table.columns.remove(0);
    added.id = ColumnId(400);
    added.missing = Some("9".into());
    table.columns.push(added);
    assert_eq!(shown(&decode_row(&table, &value).unwrap()), shown(&[Datum::text("ab"), Datum::Int4(9)]));
    let null = encode_row(&table, &[Datum::Null, Datum::Null]).unwrap();
    assert_eq!(shown(&decode_row(&table, &null).unwrap()), shown(&[Datum::Null, Datum::Null]));
}

#[test]
fn widened_integers_read_old_rows() {
    let mut table = table(&[Oid::INT4]);
    let value = encode_row(&table, &[Datum::Int4(-7)]).unwrap();
    table.columns[0].sql_type = SqlType::new(Oid::INT8);
    assert_eq!(shown(&decode_row(&table, &value).unwrap()), shown(&[Datum::Int8(-7)]));
}
