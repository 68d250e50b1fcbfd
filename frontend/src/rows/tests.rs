//! What rows look like on the wire.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray},
    datatypes::{Field as ArrowField, Schema},
    record_batch::RecordBatch,
};
use bytes::BytesMut;
use planner::plan::Field;
use schema::{Datum, FormatSettings, Oid, SqlType};
use sharddb_planner as planner;
use sharddb_schema as schema;

use super::{ArrowRows, Formats, RowWriter};

fn fields(types: &[Oid]) -> Vec<Field> {
    let field = |oid: &Oid| Field { name: "c".to_owned(), sql_type: SqlType::new(*oid), origin: (0, 0) };
    types.iter().map(field).collect()
}

/// The values of a DataRow; its framing is checked.
fn values(row: &[u8]) -> Vec<Option<Vec<u8>>> {
    assert_eq!(row[0], b'D');
    assert_eq!(u32::from_be_bytes(row[1..5].try_into().expect("four bytes")) as usize, row.len() - 1);
    let mut reader = crate::wire::Reader::new(&row[5..]);
    let count = reader.u16().expect("a count");
    let values = (0..count).map(|_| reader.value().expect("a value").map(<[u8]>::to_vec)).collect();
    reader.finish().expect("nothing is left");
    values
}

fn write(types: &[Oid], formats: &Formats, row: &[Datum]) -> Vec<Option<Vec<u8>>> {
    let (fields, settings) = (fields(types), FormatSettings::default());
    let mut scratch = String::from("left over");
    let mut out = BytesMut::new();
    let mut writer = RowWriter { fields: &fields, formats, settings: &settings, scratch: &mut scratch };
    writer.datums(row, &mut out).expect("the row is written");
    values(&out)
}

fn some(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    Some(text.as_ref().to_vec())
}

const TYPES: [Oid; 6] = [Oid::INT4, Oid::INT8, Oid::TEXT, Oid::BOOL, Oid::INT2, Oid::TIMESTAMP];

fn row() -> Vec<Datum> {
    let text = Datum::text("x\u{e9}");
    vec![Datum::Int4(-7), Datum::Int8(i64::MIN), text, Datum::Bool(true), Datum::Null, Datum::Timestamp(0)]
}

#[test]
fn datums_as_text() {
    let written = write(&TYPES, &Formats::default(), &row());
    let expected = ["-7", "-9223372036854775808", "x\u{e9}", "t"].map(some);
    assert_eq!(written[..4], expected);
    assert_eq!(written[4..], [None, some("1970-01-01 00:00:00")]);
}

#[test]
fn one_format_code_stands_for_all_columns() {
    let binary = Formats(smallvec::smallvec![true]);
    let written = write(&TYPES[..5], &binary, &row()[..5]);
    let expected = [some((-7_i32).to_be_bytes()), some(i64::MIN.to_be_bytes()), some("x\u{e9}"), some([1]), None];
    assert_eq!(written, expected);
    let mixed = Formats(smallvec::smallvec![true, false]);
    assert_eq!(write(&TYPES[..2], &mixed, &row()[..2])[1], some("-9223372036854775808"));
}

#[test]
fn arrow_rows_equal_rows_of_datums() {
    let types = [Oid::INT4, Oid::INT8, Oid::TEXT, Oid::TIMESTAMP];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None])),
        Arc::new(Int64Array::from(vec![None, Some(-2)])),
        Arc::new(StringArray::from(vec![Some("a"), Some("")])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
    ];
    let schema = columns.iter().map(|column| ArrowField::new("c", column.data_type().clone(), true));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(schema.collect::<Vec<_>>())), columns).expect("a batch");
    let datums = [
        vec![Datum::Int4(1), Datum::Null, Datum::text("a"), Datum::Timestamp(1)],
        vec![Datum::Null, Datum::Int8(-2), Datum::text(""), Datum::Null],
    ];
    let (fields, settings, formats) = (fields(&types), FormatSettings::default(), Formats::default());
    let rows = ArrowRows::new(&fields, &batch).expect("the types fit");
    for (position, row) in datums.iter().enumerate() {
        let (mut scratch, mut out) = (String::new(), BytesMut::new());
        let mut writer = RowWriter { fields: &fields, formats: &formats, settings: &settings, scratch: &mut scratch };
        writer.arrow(&rows, position, &mut out).expect("the row is written");
        assert_eq!(values(&out), write(&types, &formats, row));
    }
}

#[test]
fn a_row_that_fails_leaves_no_trace() {
    let (fields, settings) = (fields(&[Oid::INT4]), FormatSettings::default());
    let (mut scratch, mut out) = (String::new(), BytesMut::from(&b"before"[..]));
    let formats = Formats::default();
    let mut writer = RowWriter { fields: &fields, formats: &formats, settings: &settings, scratch: &mut scratch };
    writer.datums(&[Datum::Int4(1), Datum::Int4(2)], &mut out).expect_err("there is one column only");
    assert_eq!(&out[..], b"before");
}
