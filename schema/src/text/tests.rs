//! Input and output checked against PostgreSQL.

use proptest::prelude::*;

use super::*;

const NOW: Now = Now(1_700_000_000_000_000);

/// What a value prints as after it was read, or the SQLSTATE.
fn show(oid: Oid, modifier: i32, text: &str) -> String {
    let (settings, sql_type) = (FormatSettings::default(), SqlType::with_modifier(oid, modifier));
    match parse_datum(sql_type, text, &settings, NOW, CastContext::Assignment) {
        Ok(value) => {
            let mut out = String::new();
            write_text(&value, sql_type, &settings, &mut out);
            out
        }
        Err(error) => error.state().code().to_owned(),
    }
}

#[test]
fn scalars_read_and_print_as_in_postgresql() {
    for (oid, input, shown) in [
        (Oid::BOOL, " Yes ", "t"),
        (Oid::BOOL, "of", "f"),
        (Oid::BOOL, "o", "22P02"),
        (Oid::BOOL, "2", "22P02"),
        (Oid::INT2, "-32768", "-32768"),
        (Oid::INT2, "32768", "22003"),
        (Oid::INT4, " 12 ", "12"),
        (Oid::INT4, "1.5", "22P02"),
        (Oid::INT4, "", "22P02"),
        (Oid::INT8, "9223372036854775808", "22003"),
        (Oid::INT8, "99999999999999999999", "22003"),
        (Oid::FLOAT8, "1e400", "22003"),
        (Oid::FLOAT8, "0.1", "0.1"),
        (Oid::FLOAT8, "1e15", "1e+15"),
        (Oid::FLOAT8, "123456789012345", "123456789012345"),
        (Oid::FLOAT8, "0.00001", "1e-05"),
        (Oid::FLOAT8, "-infinity", "-Infinity"),
        (Oid::FLOAT8, "nan", "NaN"),
        (Oid::FLOAT8, "1e-400", "22003"),
        (Oid::FLOAT8, "-0", "-0"),
        (Oid::FLOAT8, "1.5x", "22P02"),
        (Oid::FLOAT4, "3.4e38", "3.4e+38"),
        (Oid::FLOAT4, "1e39", "22003"),
        (Oid::FLOAT4, "0.1", "0.1"),
        (Oid::BYTEA, "\\xDEad", "\\xdead"),
        (Oid::BYTEA, "a\\001\\\\", "\\x61015c"),
        (Oid::BYTEA, "\\x1", "22023"),
        (Oid::BYTEA, "\\9", "22P02"),
        (Oid::UUID, "{A0EEBC99-9C0B4EF8BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (Oid::UUID, "a0ee", "22P02"),
        (Oid::JSON, "{\"b\" : 1 , \"a\":2}", "{\"b\" : 1 , \"a\":2}"),
        (Oid::JSON, "{bad", "22P02"),
        (Oid::JSON, "", "22P02"),
        (Oid::JSONB, "{\"bb\" : 1.50 , \"a\":[1,null], \"a\":[2]}", "{\"a\": [2], \"bb\": 1.50}"),
        (Oid::JSONB, "\"\\u0041\\n\"", "\"A\\n\""),
        (Oid::OID, "-1", "4294967295"),
        (Oid::OID, "x", "22P02"),
        (Oid::CHAR, "abc", "a"),
        (Oid::DATE, "2024-02-30", "22008"),
        (Oid::TIME, "24:00:00", "24:00:00"),
        (Oid::TIMETZ, "12:00+02", "12:00:00+02"),
    ] {
        assert_eq!(show(oid, -1, input), shown, "{oid} {input}");
    }
}

#[test]
fn lengths_and_precisions_are_applied() {
    for (oid, modifier, input, shown) in [
        (Oid::VARCHAR, 3 + 4, "abc", "abc"),
        (Oid::VARCHAR, 3 + 4, "abcd", "22001"),
        (Oid::VARCHAR, 3 + 4, "abc  ", "abc"),
        (Oid::BPCHAR, 3 + 4, "a", "a  "),
        (Oid::BPCHAR, 3 + 4, "äöüß", "22001"),
        (Oid::VARCHAR, 3 + 4, "äöü", "äöü"),
        (Oid::NUMERIC, ((5 << 16) | 2) + 4, "123.456", "123.46"),
        (Oid::NUMERIC, ((5 << 16) | 2) + 4, "1000", "22003"),
        (Oid::TIMESTAMP, 2, "2024-01-01 00:00:00.129", "2024-01-01 00:00:00.13"),
        (Oid::TIME, 0, "12:34:56.5", "12:34:57"),
        (Oid::INTERVAL, 0x7fff << 16, "1.6 seconds", "00:00:02"),
    ] {
        assert_eq!(show(oid, modifier, input), shown, "{input}");
    }
}

#[test]
fn arrays_read_and_print_as_in_postgresql() {
    let ints = Oid(1007);
    let texts = Oid(1009);
    for (oid, input, shown) in [
        (ints, "{1,2, 3}", "{1,2,3}"),
        (ints, "{}", "{}"),
        (ints, "{{1,2},{3,4}}", "{{1,2},{3,4}}"),
        (ints, "[0:1]={5,6}", "[0:1]={5,6}"),
        (ints, "{1,NULL}", "{1,NULL}"),
        (ints, "{{1},{2,3}}", "22P02"),
        (ints, "{1,2", "22P02"),
        (ints, "1,2", "22P02"),
        (ints, "{1}x", "22P02"),
        (ints, "{1,a}", "22P02"),
        (ints, "[1:3]={1,2}", "22P02"),
        (texts, "{a b,\"c,d\",\"\",\"NULL\",null, e\\\"f }", "{\"a b\",\"c,d\",\"\",\"NULL\",NULL,\"e\\\"f\"}"),
    ] {
        assert_eq!(show(oid, -1, input), shown, "{input}");
    }
}

#[test]
fn errors_are_worded_as_in_postgresql() {
    let read = |oid: Oid, text: &str| {
        let settings = FormatSettings::default();
        parse_datum(SqlType::new(oid), text, &settings, NOW, CastContext::Assignment)
            .expect_err("bad input")
            .to_string()
    };
    assert_eq!(read(Oid::INT4, "x"), "invalid input syntax for type integer: \"x\"");
    assert_eq!(read(Oid::INT2, "70000"), "value \"70000\" is out of range for type smallint");
    assert_eq!(read(Oid::FLOAT8, "1e999"), "\"1e999\" is out of range for type double precision");
    assert_eq!(read(Oid::JSON, "{"), "invalid input syntax for type json");
    assert_eq!(read(Oid::DATE, "x"), "invalid input syntax for type date: \"x\"");
}

proptest! {
    #[test]
    fn doubles_round_trip(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let mut out = String::new();
        write_float8(value, &mut out);
        let back: f64 = out.parse().expect("a double");
        prop_assert!(back == value || (back.is_nan() && value.is_nan()), "{}", out);
    }

    #[test]
    fn texts_in_arrays_round_trip(texts in prop::collection::vec(prop::option::of("\\PC{0,8}"), 1..6)) {
        let settings = FormatSettings::default();
        let values = texts.iter().map(|text| text.as_ref().map_or(Datum::Null, |text| Datum::text(text.as_str()))).collect();
        let array = crate::ArrayValue { element: Oid::TEXT, dims: vec![(texts.len() as i32, 1)], values };
        let mut out = String::new();
        write_array(&array, &settings, &mut out);
        let back = parse_array(SqlType::new(Oid::TEXT), &out, &settings, NOW, CastContext::Assignment).expect("reads");
        let mut again = String::new();
        write_text(&back, SqlType::new(Oid(1009)), &settings, &mut again);
        prop_assert_eq!(out, again);
    }

    #[test]
    fn no_input_panics(text in "\\PC{0,20}", oid in prop::sample::select(crate::all_types().map(|info| info.oid).collect::<Vec<_>>())) {
        let _shown = show(oid, -1, &text);
    }

    #[test]
    fn no_array_panics(text in "[{}\\[\\]=:,\"\\\\0-9a ]{0,20}") {
        let _shown = show(Oid(1007), -1, &text);
    }
}
