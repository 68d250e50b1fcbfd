//! Names: quoting, and the names PostgreSQL makes up for indexes, constraints and sequences.

use schema::{Oid, TableDescriptor};
use sharddb_schema as schema;

use super::Changes;

/// Longest identifier in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// Words that must be quoted when used as an identifier.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// An identifier as SQL text: quoted when it must be.
pub(crate) fn quote(name: &str) -> String {
    let mut chars = name.chars();
    let plain_start = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let plain = plain_start && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && RESERVED.binary_search(&name).is_err() {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A string as SQL literal.
pub(crate) fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// `first_second_label`, with the longer of the two names cut until it fits.
pub(crate) fn compose(first: &str, second: Option<&str>, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(second.is_some());
    let available = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut first_len, mut second_len) = (first.len(), second.map_or(0, str::len));
    while first_len + second_len > available {
        if first_len > second_len {
            first_len -= 1;
        } else {
            second_len -= 1;
        }
    }
    let first = cut(first, first_len);
    match second {
        Some(second) => format!("{first}_{}_{label}", cut(second, second_len)),
        None => format!("{first}_{label}"),
    }
}

/// The longest prefix of at most `bytes` bytes that ends between characters.
fn cut(text: &str, mut bytes: usize) -> &str {
    while !text.is_char_boundary(bytes) {
        bytes -= 1;
    }
    &text[..bytes]
}

/// Column names joined for a made-up name.
pub(crate) fn join_columns<'n>(columns: impl IntoIterator<Item = &'n str>) -> String {
    let joined = columns.into_iter().collect::<Vec<_>>().join("_");
    cut(&joined, joined.len().min(NAME_BYTES_MAX)).to_owned()
}

/// The first free name: label, label1, label2 …
pub(crate) fn choose(first: &str, second: Option<&str>, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = compose(first, second, label);
    let mut pass = 0;
    while taken(&name) {
        pass += 1;
        name = compose(first, second, &format!("{label}{pass}"));
    }
    name
}

impl Changes<'_> {
    /// A free name for a new relation or index.
    pub(crate) fn choose_relation_name(&self, schema: Oid, first: &str, second: Option<&str>, label: &str) -> String {
        choose(first, second, label, |name| self.relation_exists(schema, name))
    }

    /// A free name for an index that stands for a constraint, which shares the table's constraint names too.
    pub(crate) fn choose_key_name(&self, table: &TableDescriptor, second: Option<&str>, label: &str) -> String {
        choose(&table.name, second, label, |name| {
            self.relation_exists(table.schema, name) || has_constraint(table, name) || has_index(table, name)
        })
    }
}

/// A free name for a CHECK or FOREIGN KEY constraint.
pub(crate) fn choose_constraint_name(table: &TableDescriptor, second: Option<&str>, label: &str) -> String {
    choose(&table.name, second, label, |name| has_constraint(table, name))
}

pub(crate) fn has_constraint(table: &TableDescriptor, name: &str) -> bool {
    table.constraints.iter().any(|constraint| constraint.name == name)
}

pub(crate) fn has_index(table: &TableDescriptor, name: &str) -> bool {
    table.indexes.iter().any(|index| index.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_fit() {
        assert_eq!(compose("t", Some("a_b"), "key"), "t_a_b_key");
        assert_eq!(compose("t", None, "pkey"), "t_pkey");
        let long = "x".repeat(63);
        assert_eq!(compose(&long, Some("a"), "key").len(), 63);
        // Names are cut between characters.
        assert_eq!(compose(&"é".repeat(31), Some("a"), "key").len(), 62);
        assert_eq!(choose("t", Some("a"), "idx", |name| name == "t_a_idx"), "t_a_idx1");
    }

    #[test]
    fn identifiers_are_quoted_when_they_must_be() {
        assert!(RESERVED.is_sorted());
        assert_eq!(quote("a_1"), "a_1");
        assert_eq!(quote("A"), "\"A\"");
        assert_eq!(quote("user"), "\"user\"");
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
    }
}
