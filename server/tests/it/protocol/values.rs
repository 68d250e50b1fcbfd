//! Values of every type in both formats, as results and as parameters.

use super::server::{Server, done, row};
use crate::raw::{bind_as, execute, parse};

/// OID, name, text and binary form, as PostgreSQL sends them.
const VALUES: [(u32, &str, &str, &str); 38] = [
    (16, "bool", "t", "01"),
    (21, "int2", "-32768", "8000"),
    (23, "int4", "2147483647", "7fffffff"),
    (20, "int8", "-9223372036854775808", "8000000000000000"),
    (700, "float4", "1.5e-07", "34210fb0"),
    (700, "float4", "-Infinity", "ff800000"),
    (701, "float8", "0.1", "3fb999999999999a"),
    (701, "float8", "NaN", "7ff8000000000000"),
    (1700, "numeric", "0", "0000000000000000"),
    (1700, "numeric", "-12345.6700", "0003000140000004000109291a2c"),
    (
        1700,
        "numeric",
        "1000000000000000000000000000.0000000001",
        "000a00060000000a03e8000000000000000000000000000000000064",
    ),
    (1700, "numeric", "0.00001", "0001fffe0000000503e8"),
    (1700, "numeric", "NaN", "00000000c0000000"),
    (1700, "numeric", "Infinity", "00000000d0000020"),
    (25, "text", "gr\u{f6}\u{df}e", "6772c3b6c39f65"),
    (1043, "varchar", "abc", "616263"),
    (1042, "bpchar", "ab ", "616220"),
    (19, "name", "pg_class", "70675f636c617373"),
    (18, "\"char\"", "x", "78"),
    (17, "bytea", "\\x00ff10", "00ff10"),
    (1082, "date", "1999-12-31", "ffffffff"),
    (1082, "date", "infinity", "7fffffff"),
    (1082, "date", "0044-03-15 BC", "fff49d7b"),
    (1083, "time", "23:59:59.999999", "000000141dd75fff"),
    (1083, "time", "24:00:00", "000000141dd76000"),
    (1266, "timetz", "04:05:06.789-08", "000000036c97ca8800007080"),
    (1114, "timestamp", "2024-02-29 12:34:56.789", "0002b58341728608"),
    (1114, "timestamp", "-infinity", "8000000000000000"),
    (1184, "timestamptz", "1970-01-01 00:00:00+00", "fffca2fec4c82000"),
    (1186, "interval", "1 year 2 mons 3 days 04:05:06.000007", "000000036c8bc087000000030000000e"),
    (1186, "interval", "-1 days +02:00:00", "00000001ad274800ffffffff00000000"),
    (2950, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    (114, "json", "{\"a\" : [1, null]}", "7b226122203a205b312c206e756c6c5d7d"),
    (3802, "jsonb", "{\"a\": [1, null]}", "017b2261223a205b312c206e756c6c5d7d"),
    (26, "oid", "4294967295", "ffffffff"),
    (1007, "_int4", "{1,NULL,3}", "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003"),
    (1007, "_int4", "{}", "000000000000000000000017"),
    (1185, "_timestamptz", "{\"2000-01-01 00:00:00+00\"}", TIMESTAMPTZ_ARRAY),
];

const TIMESTAMPTZ_ARRAY: &str = "0000000100000000000004a00000000100000001000000080000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn results_in_both_formats() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.query("set timezone = 'UTC'"));
    for (oid, name, text, binary) in VALUES {
        let sql = format!("select '{text}'::{name}, null::{name}, '{text}'::{name}");
        let messages = [parse("", &sql, &[]), bind_as("", "", &[], &[], &[0, 1, 1]), execute("", 0)];
        let answers = raw.batch(&[&messages.concat()]);
        done(&answers);
        let expected = [Some(text.as_bytes().to_vec()), None, Some(bytes(binary))];
        assert_eq!(row(&answers[2]), expected, "{name} ({oid}) {text}");
    }
}

#[test]
fn parameters_in_both_formats() {
    let server = Server::start();
    let mut raw = server.session();
    done(&raw.query("set timezone = 'UTC'"));
    for (oid, name, text, binary) in VALUES {
        let sql = format!("select $1, $2, $3::{name}");
        let binary = bytes(binary);
        let parameters = [Some(text.as_bytes()), Some(binary.as_slice()), None];
        let bound = bind_as("", "", &[0, 1, 1], &parameters, &[1, 0, 0]);
        let answers = raw.batch(&[&parse("", &sql, &[oid, oid]), &bound, &execute("", 0)]);
        done(&answers);
        assert_eq!(row(&answers[2]), [Some(binary), Some(text.as_bytes().to_vec()), None], "{name} ({oid}) {text}");
    }
}

#[test]
fn settings_decide_how_values_are_printed() {
    let server = Server::start();
    let mut raw = server.session();
    let shown = "select '2024-02-03 04:05:06+00'::timestamptz, '1 day 02:00:00'::interval, '\\x41'::bytea, 0.1::float8";
    let mut show = |settings: &str| -> Vec<String> {
        done(&raw.query(settings));
        let answers = raw.query(shown);
        let values = row(&answers[1]).into_iter();
        values.map(|value| String::from_utf8(value.expect("a value")).expect("text")).collect()
    };
    let plain = show("set timezone = 'America/New_York'; set datestyle = 'SQL, DMY'; set intervalstyle = 'iso_8601'");
    assert_eq!(plain, ["02/02/2024 23:05:06 EST", "P1DT2H", "\\x41", "0.1"]);
    let other = show("reset all; set timezone = '+03'; set bytea_output = 'escape'; set extra_float_digits = -15");
    assert_eq!(other, ["2024-02-03 07:05:06+03", "1 day 02:00:00", "A", "0.1"]);
}
