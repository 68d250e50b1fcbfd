//! Order, prefix freedom and bounds of keys.

use std::{cmp::Ordering, ops::Bound};

use proptest::prelude::*;

use super::*;
use crate::{ColumnDescriptor, ColumnId, IndexState, Oid, SqlType};

pub(crate) fn table(types: &[Oid], key: &[(u16, bool, bool)], sharding: Sharding) -> TableDescriptor {
    let columns = types.iter().enumerate().map(|(at, oid)| ColumnDescriptor {
        id: ColumnId(at as u16 + 1),
        name: format!("c{}", at + 1),
        sql_type: SqlType::new(*oid),
        not_null: false,
        default: None,
        identity: None,
        missing: None,
        generated: None,
        comment: None,
    });
    let index = IndexDescriptor {
        id: PRIMARY_INDEX,
        oid: Oid(20_001),
        name: "t_pkey".into(),
        columns: key
            .iter()
            .map(|(id, descending, nulls_first)| IndexColumn {
                column: ColumnId(*id),
                descending: *descending,
                nulls_first: *nulls_first,
            })
            .collect(),
        unique: true,
        nulls_not_distinct: false,
        state: IndexState::Ready,
        constraint: None,
        predicate: None,
    };
    TableDescriptor {
        oid: Oid(20_000),
        storage_id: 77,
        version: 1,
        schema: Oid(2200),
        name: "t".into(),
        owner: Oid(10),
        columns: columns.collect(),
        next_column: types.len() as u16 + 1,
        indexes: vec![index],
        next_index: 2,
        constraints: Vec::new(),
        referenced_by: Vec::new(),
        sharding,
        replication_factor: 0,
        statistics: None,
        comment: None,
    }
}

const ONE: Sharding = Sharding::Range { shards: 1 };

fn value() -> impl Strategy<Value = Option<i32>> {
    prop_oneof![3 => (-4i32..4).prop_map(Some), 1 => any::<i32>().prop_map(Some), 1 => Just(None)]
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[\\x00-\\x02a\u{ff}]{0,4}")
}

fn datum(value: Option<i32>) -> Datum {
    value.map_or(Datum::Null, Datum::Int4)
}

fn compare<T: Ord>(a: &Option<T>, b: &Option<T>, descending: bool, nulls_first: bool) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => {
            if nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (_, None) => {
            if nulls_first {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (Some(a), Some(b)) => {
            if descending {
                b.cmp(a)
            } else {
                a.cmp(b)
            }
        }
    }
}

proptest! {
    #[test]
    fn byte_order_is_column_order(
        (a1, a2) in (value(), value()), (b1, b2) in (text(), text()),
        (d1, n1, d2, n2) in any::<(bool, bool, bool, bool)>(),
    ) {
        let table = table(&[Oid::INT4, Oid::TEXT], &[(1, d1, n1), (2, d2, n2)], ONE);
        let text = |t: &Option<String>| t.as_deref().map_or(Datum::Null, Datum::text);
        let left = primary_key(&table, &[datum(a1), text(&b1)], None).unwrap();
        let right = primary_key(&table, &[datum(a2), text(&b2)], None).unwrap();
        let expected = compare(&a1, &a2, d1, n1).then_with(|| compare(&b1, &b2, d2, n2));
        prop_assert_eq!(left.cmp(&right), expected);
        prop_assert!(left == right || !right.starts_with(&left));
    }

    #[test]
    fn float_order_has_nan_last_and_one_zero(a in any::<f64>(), b in any::<f64>()) {
        let table = table(&[Oid::FLOAT8], &[(1, false, false)], ONE);
        let key = |v: f64| primary_key(&table, &[Datum::Float8(v)], None).unwrap();
        let expected = match (a.is_nan(), b.is_nan()) {
            (false, false) => a.partial_cmp(&b).unwrap(),
            (left, right) => left.cmp(&right),
        };
        prop_assert_eq!(key(a).cmp(&key(b)), expected);
        prop_assert_eq!(key(0.0), key(-0.0));
    }

    #[test]
    fn bounds_hold_exactly_the_matching_keys(
        (first, second) in (value(), value()), wanted in value(),
        (lower, upper) in ((0u8..3, -4i64..4), (0u8..3, -4i64..4)),
        (d, n) in any::<(bool, bool)>(),
    ) {
        let table = table(&[Oid::INT4, Oid::INT4], &[(1, false, false), (2, d, n)], ONE);
        let (low, high) = (Datum::Int8(lower.1), Datum::Int8(upper.1));
        let bound = |kind: u8, value| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(value),
            _ => Bound::Excluded(value),
        };
        let bounds = prefix_bounds(&table, table.primary(), &[datum(wanted)], bound(lower.0, &low), bound(upper.0, &high)).unwrap();
        let key = primary_key(&table, &[datum(first), datum(second)], None).unwrap();
        let inside = bounds.spans.iter().any(|(start, end)| *start <= key && (end.is_empty() || key < *end));
        let within = match second {
            None => lower.0 == 0 && upper.0 == 0,
            Some(v) => {
                let v = i64::from(v);
                (lower.0 == 0 || v > lower.1 || (lower.0 == 1 && v == lower.1))
                    && (upper.0 == 0 || v < upper.1 || (upper.0 == 1 && v == upper.1))
            }
        };
        prop_assert_eq!(inside, first == wanted && within);
    }
}

#[test]
fn integers_beyond_the_column_type_match_nothing_or_everything() {
    let table = table(&[Oid::INT4], &[(1, false, false)], ONE);
    let huge = Datum::Int8(1 << 40);
    let spans = |lower, upper| prefix_bounds(&table, table.primary(), &[], lower, upper).unwrap().spans;
    assert!(spans(Bound::Excluded(&huge), Bound::Unbounded).is_empty());
    assert_eq!(spans(Bound::Unbounded, Bound::Included(&huge)).len(), 1);
    assert!(
        prefix_bounds(&table, table.primary(), &[huge], Bound::Unbounded, Bound::Unbounded).unwrap().spans.is_empty()
    );
}

#[test]
fn hash_sharding_fixes_the_bucket_only_with_all_hash_columns() {
    let sharding = Sharding::Hash { shards: 8, columns: vec![ColumnId(1)] };
    let table = table(&[Oid::INT4, Oid::INT4], &[(1, false, false), (2, false, false)], sharding);
    let row = [Datum::Int4(5), Datum::Int4(6)];
    let key = primary_key(&table, &row, None).unwrap();
    let fixed = prefix_bounds(&table, table.primary(), &row[..1], Bound::Unbounded, Bound::Unbounded).unwrap();
    assert!(fixed.exact && fixed.spans[0].0 <= key && key < fixed.spans[0].1);
    let open = prefix_bounds(&table, table.primary(), &[], Bound::Unbounded, Bound::Unbounded).unwrap();
    assert_eq!((open.spans, open.exact), (vec![index_span(&table, PRIMARY_INDEX)], false));
}

#[test]
fn consecutive_ids_spread_over_the_shards() {
    let sharding = Sharding::Hash { shards: 8, columns: vec![ColumnId(1)] };
    let table = table(&[Oid::INT4], &[(1, false, false)], sharding);
    let points = split_points(&table, table.storage_id);
    assert_eq!(points.len(), 9);
    let mut counts = [0; 8];
    for id in 0..8_000 {
        let key = primary_key(&table, &[Datum::Int4(id)], None).unwrap();
        counts[points.iter().filter(|point| **point <= key).count() - 1] += 1;
    }
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
}

#[test]
fn unique_entries_meet_and_others_stay_apart() {
    let table = table(&[Oid::INT4, Oid::INT4], &[(1, false, false)], ONE);
    let mut index = table.primary().clone();
    index.id = IndexId(2);
    index.columns[0].column = ColumnId(2);
    let entry = |index: &IndexDescriptor, id, value: Datum| {
        let row = [Datum::Int4(id), value];
        index_key(&table, index, &row, &primary_key(&table, &row, None).unwrap()).unwrap()
    };
    assert_eq!(entry(&index, 1, Datum::Int4(9)), entry(&index, 2, Datum::Int4(9)));
    assert_ne!(entry(&index, 1, Datum::Null), entry(&index, 2, Datum::Null));
    index.unique = false;
    assert_ne!(entry(&index, 1, Datum::Int4(9)), entry(&index, 2, Datum::Int4(9)));
}

#[test]
fn rows_without_a_primary_key_are_keyed_by_their_row_id() {
    let table = table(&[Oid::INT4], &[], ONE);
    let key = |id| primary_key(&table, &[Datum::Null], Some(id)).unwrap();
    assert!(key(-1) < key(0) && key(0) < key(1));
    assert!(primary_key(&table, &[Datum::Null], None).is_err());
}
