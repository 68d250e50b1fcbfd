//! Values checked against PostgreSQL.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::Numeric;

fn n(text: &str) -> Numeric {
    Numeric::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn text_round_trips_with_its_scale() {
    for (input, shown) in [
        ("1.50", "1.50"),
        ("-0.005", "-0.005"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1.25e-3", "0.00125"),
        (" 7 ", "7"),
        ("nan", "NaN"),
        ("-inf", "-Infinity"),
        ("+Infinity", "Infinity"),
        ("000.10", "0.10"),
        ("123456789012345678901234567890123456789012345.678", "123456789012345678901234567890123456789012345.678"),
    ] {
        assert_eq!(n(input).to_string(), shown);
    }
    for bad in ["", ".", "1.2.3", "abc", "1e", "--1", "-nan", "1 2"] {
        assert_eq!(Numeric::parse(bad).expect_err(bad).state().code(), "22P02", "{bad}");
    }
    assert_eq!(Numeric::parse("1e200000").expect_err("too large").state().code(), "22003");
}

#[test]
fn arithmetic_shows_postgresql_scales() {
    for (a, op, b, expected) in [
        ("1.5", '+', "2.25", "3.75"),
        ("1", '-', "0.05", "0.95"),
        ("1.5", '*', "2.25", "3.375"),
        ("1", '/', "3", "0.33333333333333333333"),
        ("10", '/', "3", "3.3333333333333333"),
        ("1", '/', "4", "0.25000000000000000000"),
        ("100000", '/', "3", "33333.333333333333"),
        ("0.0001", '/', "3", "0.000033333333333333333333"),
        ("7", '%', "-3", "1"),
        ("-7.5", '%', "2", "-1.5"),
        ("2", '/', "3.00", "0.66666666666666666667"),
        ("170141183460469231731687303715884105727", '+', "1", "170141183460469231731687303715884105728"),
        ("NaN", '+', "1", "NaN"),
        ("Infinity", '-', "Infinity", "NaN"),
        ("Infinity", '*', "-2", "-Infinity"),
        ("1", '/', "Infinity", "0"),
    ] {
        let (a, b) = (n(a), n(b));
        let result = match op {
            '+' => a.add(&b),
            '-' => a.sub(&b),
            '*' => a.mul(&b),
            '/' => a.div(&b),
            _ => a.rem(&b),
        };
        assert_eq!(result.expect("in range").to_string(), expected, "{a} {op} {b}");
    }
    assert_eq!(n("1").div(&n("0")).expect_err("no quotient").state().code(), "22012");
}

#[test]
fn rounding_is_half_away_from_zero() {
    for (value, scale, rounded, cut) in [
        ("2.5", 0, "3", "2"),
        ("-2.5", 0, "-3", "-2"),
        ("1234.567", -2, "1200", "1200"),
        ("1.005", 2, "1.01", "1.00"),
        ("7", 2, "7.00", "7.00"),
    ] {
        assert_eq!(n(value).round(scale).to_string(), rounded);
        assert_eq!(n(value).trunc(scale).to_string(), cut);
    }
    assert_eq!((n("-1.5").floor().to_string(), n("-1.5").ceil().to_string()), ("-2".to_owned(), "-1".to_owned()));
    assert_eq!(n("123.456").apply_typmod(5, 2).expect("fits").to_string(), "123.46");
    assert_eq!(n("1234.5").apply_typmod(5, 2).expect_err("too wide").state().code(), "22003");
}

#[test]
fn the_binary_form_round_trips() {
    for text in [
        "0",
        "0.00",
        "1",
        "-1.5",
        "10000",
        "0.0001",
        "12345678.90123",
        "NaN",
        "-Infinity",
        "99999999999999999999999999999999999999999.5",
    ] {
        let mut bytes = Vec::new();
        n(text).write_binary(&mut bytes);
        assert_eq!(Numeric::read_binary(&bytes).expect("reads").to_string(), text);
    }
    assert!(Numeric::read_binary(&[0, 1]).is_err());
    assert!(Numeric::read_binary(&[0, 1, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).is_err());
}

proptest! {
    #[test]
    fn order_ignores_scale(a in -10_000_i128..10_000, b in -10_000_i128..10_000, s in 0_u16..5, t in 0_u16..5) {
        let x = Numeric::Small { digits: a, scale: s };
        let y = Numeric::Small { digits: b, scale: t };
        let exact = (a * 10_i128.pow(5 - u32::from(s))).cmp(&(b * 10_i128.pow(5 - u32::from(t))));
        prop_assert_eq!(x.compare(&y), exact);
        prop_assert_eq!(x.compare(&x.round(10)), Ordering::Equal);
        let back = x.add(&y).and_then(|sum| sum.sub(&y)).expect("in range");
        prop_assert_eq!(back.compare(&x), Ordering::Equal);
    }
}
