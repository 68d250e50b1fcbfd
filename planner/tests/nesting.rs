//! Deep nesting is parsed or refused. A parser that tries every reading of every level would not come back here, and one
//! that recurses without looking at its stack would end the process.

const NESTED: [(&str, &str); 40] = [
    ("f(", ")"),
    ("f(a => ", ")"),
    ("row(", ")"),
    ("struct(", ")"),
    ("convert(", ", 1)"),
    ("array[", "]"),
    ("a[", "]"),
    ("(", ")"),
    ("(1, ", ")"),
    ("(values (", "))"),
    ("(select ", ")"),
    ("(select * from (", ")) x"),
    ("(select * from (select * from ", ") x) y"),
    ("(select * from lateral ", ") x"),
    ("(with a as (select ", ") select 1)"),
    ("(select 1 union (select ", "))"),
    ("array(select ", ")"),
    ("exists(select ", ")"),
    ("not exists(select ", ")"),
    ("1 in (select ", ")"),
    ("1 = any(", ")"),
    ("1 between ", " and 1"),
    ("1 like ", ""),
    ("not ", ""),
    ("- ", ""),
    ("@ ", ""),
    ("interval ", ""),
    ("interval (", ")"),
    ("date ", ""),
    ("case when ", " then 1 end"),
    ("case when true then 1 else ", " end"),
    ("cast(", " as int)"),
    ("extract(year from ", ")"),
    ("overlay(", " placing 1 from 1)"),
    ("xmlelement(", ")"),
    ("string_agg(1, ", " order by 1)"),
    ("sum(1) over (partition by ", ")"),
    ("sum(1) filter (where ", ")"),
    ("1::array<", ">"),
    ("1 from a join (", ")"),
];

#[test]
fn deep_nesting_comes_back() {
    for (open, close) in NESTED {
        for depth in [30, 1200] {
            let sql = format!("select {}1{}", open.repeat(depth), close.repeat(depth));
            // Either answer will do.
            let _ = sharddb_planner::parse(&sql);
        }
    }
}

#[test]
fn what_people_write_is_not_too_deep() {
    for (open, close) in [("coalesce(null, ", ")"), ("(select ", ")"), ("row(", ")"), ("(", ")"), ("- ", "")] {
        let sql = format!("select {}1{}", open.repeat(8), close.repeat(8));
        sharddb_planner::parse(&sql).expect("this is parsed");
    }
    let rows = vec!["(1, 'x', null, now(), row(1, 2), array[1, 2], (select 1))"; 5000].join(", ");
    sharddb_planner::parse(&format!("insert into t values {rows}")).expect("this is parsed");
}
