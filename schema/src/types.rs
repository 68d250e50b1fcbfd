//! PostgreSQL's types by OID, with the type modifier.
//!
//! A type is what PostgreSQL stores in `pg_attribute`: an OID and a modifier. Everything else
//! (name, array type, category) is looked up in one static table, so user-defined types can join it later.

use std::fmt;

/// A PostgreSQL object identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Oid(pub u32);

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A type OID with its modifier, as PostgreSQL's `atttypid` and `atttypmod`.
///
/// `modifier` is -1 without one. varchar(n) and char(n): n + 4. numeric(p, s): ((p << 16) | s) + 4.
/// time, timestamp and interval precision: the precision itself (interval: range and precision).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SqlType {
    /// Which type.
    pub oid: Oid,
    /// PostgreSQL's typmod.
    pub modifier: i32,
}

impl SqlType {
    /// The type without a modifier.
    pub const fn new(oid: Oid) -> Self {
        Self { oid, modifier: -1 }
    }

    /// The type with a modifier.
    pub const fn with_modifier(oid: Oid, modifier: i32) -> Self {
        Self { oid, modifier }
    }
}

/// PostgreSQL's type categories (`typcategory`), which steer implicit conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// `A`
    Array,
    /// `B`
    Boolean,
    /// `C`
    Composite,
    /// `D`
    DateTime,
    /// `N`
    Numeric,
    /// `P`
    Pseudo,
    /// `S`
    String,
    /// `T`
    Timespan,
    /// `U`
    User,
    /// `X`
    Unknown,
    /// `Z`: "char" and other internal types
    Internal,
}

/// What is known of a type.
#[derive(Debug)]
pub struct TypeInfo {
    /// Its OID.
    pub oid: Oid,
    /// `typname`: int4, varchar, _int4.
    pub name: &'static str,
    /// As `format_type` prints it: integer, character varying, integer[].
    pub sql_name: &'static str,
    /// `typlen`: bytes, or -1 when variable.
    pub length: i16,
    /// `typcategory`.
    pub category: Category,
    /// `typispreferred`.
    pub preferred: bool,
    /// The array type over it; 0 for arrays and pseudo types without one.
    pub array: Oid,
    /// The element type of an array; 0 otherwise.
    pub element: Oid,
}

macro_rules! types {
    ($($konst:ident = $oid:literal, $name:literal, $sql:literal, $len:literal, $cat:ident, $pref:literal, $array:literal;)*) => {
        impl Oid { $(#[doc = concat!("`", $sql, "`")] pub const $konst: Oid = Oid($oid);)* }
        static SCALARS: &[TypeInfo] = &[$(TypeInfo {
            oid: Oid($oid), name: $name, sql_name: $sql, length: $len, category: Category::$cat,
            preferred: $pref, array: Oid($array), element: Oid(0),
        },)*];
        static ARRAYS: &[TypeInfo] = &[$(TypeInfo {
            oid: Oid($array), name: concat!("_", $name), sql_name: concat!($sql, "[]"), length: -1, category: Category::Array,
            preferred: false, array: Oid(0), element: Oid($oid),
        },)*];
    };
}

types! {
    BOOL = 16, "bool", "boolean", 1, Boolean, true, 1000;
    BYTEA = 17, "bytea", "bytea", -1, User, false, 1001;
    CHAR = 18, "char", "\"char\"", 1, Internal, false, 1002;
    NAME = 19, "name", "name", 64, String, false, 1003;
    INT8 = 20, "int8", "bigint", 8, Numeric, false, 1016;
    INT2 = 21, "int2", "smallint", 2, Numeric, false, 1005;
    INT4 = 23, "int4", "integer", 4, Numeric, false, 1007;
    REGPROC = 24, "regproc", "regproc", 4, Numeric, false, 1008;
    TEXT = 25, "text", "text", -1, String, true, 1009;
    OID = 26, "oid", "oid", 4, Numeric, true, 1028;
    INT2VECTOR = 22, "int2vector", "int2vector", -1, Array, false, 1006;
    OIDVECTOR = 30, "oidvector", "oidvector", -1, Array, false, 1013;
    XID = 28, "xid", "xid", 4, User, false, 1011;
    JSON = 114, "json", "json", -1, User, false, 199;
    JSONB = 3802, "jsonb", "jsonb", -1, User, false, 3807;
    FLOAT4 = 700, "float4", "real", 4, Numeric, false, 1021;
    FLOAT8 = 701, "float8", "double precision", 8, Numeric, true, 1022;
    UNKNOWN = 705, "unknown", "unknown", -2, Unknown, false, 0;
    BPCHAR = 1042, "bpchar", "character", -1, String, false, 1014;
    VARCHAR = 1043, "varchar", "character varying", -1, String, false, 1015;
    DATE = 1082, "date", "date", 4, DateTime, false, 1182;
    TIME = 1083, "time", "time without time zone", 8, DateTime, false, 1183;
    TIMESTAMP = 1114, "timestamp", "timestamp without time zone", 8, DateTime, false, 1115;
    TIMESTAMPTZ = 1184, "timestamptz", "timestamp with time zone", 8, DateTime, true, 1185;
    INTERVAL = 1186, "interval", "interval", 16, Timespan, true, 1187;
    TIMETZ = 1266, "timetz", "time with time zone", 12, DateTime, false, 1270;
    NUMERIC = 1700, "numeric", "numeric", -1, Numeric, false, 1231;
    UUID = 2950, "uuid", "uuid", 16, User, false, 2951;
    REGCLASS = 2205, "regclass", "regclass", 4, Numeric, false, 2210;
    REGTYPE = 2206, "regtype", "regtype", 4, Numeric, false, 2211;
    REGNAMESPACE = 4089, "regnamespace", "regnamespace", 4, Numeric, false, 4090;
    REGROLE = 4096, "regrole", "regrole", 4, Numeric, false, 4097;
    REGPROCEDURE = 2202, "regprocedure", "regprocedure", 4, Numeric, false, 2207;
    REGOPER = 2203, "regoper", "regoper", 4, Numeric, false, 2208;
    REGOPERATOR = 2204, "regoperator", "regoperator", 4, Numeric, false, 2209;
    REGCOLLATION = 4191, "regcollation", "regcollation", 4, Numeric, false, 4192;
    RECORD = 2249, "record", "record", -1, Pseudo, false, 2287;
    VOID = 2278, "void", "void", 4, Pseudo, false, 0;
    CSTRING = 2275, "cstring", "cstring", -2, Pseudo, false, 1263;
    TRIGGER = 2279, "trigger", "trigger", 4, Pseudo, false, 0;
    INTERNAL = 2281, "internal", "internal", 8, Pseudo, false, 0;
    ANY = 2276, "any", "\"any\"", 4, Pseudo, false, 0;
    ANYARRAY = 2277, "anyarray", "anyarray", -1, Pseudo, false, 0;
    ANYELEMENT = 2283, "anyelement", "anyelement", 4, Pseudo, false, 0;
    ANYNONARRAY = 2776, "anynonarray", "anynonarray", 4, Pseudo, false, 0;
    ANYCOMPATIBLE = 5077, "anycompatible", "anycompatible", 4, Pseudo, false, 0;
    ANYCOMPATIBLEARRAY = 5078, "anycompatiblearray", "anycompatiblearray", -1, Pseudo, false, 0;
}

/// Types whose values show as names.
const OBJECT_NAMES: [Oid; 9] = [
    Oid::REGCLASS,
    Oid::REGTYPE,
    Oid::REGPROC,
    Oid::REGPROCEDURE,
    Oid::REGOPER,
    Oid::REGOPERATOR,
    Oid::REGNAMESPACE,
    Oid::REGROLE,
    Oid::REGCOLLATION,
];

impl Oid {
    /// No object.
    pub const INVALID: Oid = Oid(0);

    /// What is known of this type; `None` for an OID that is no built-in type.
    pub fn type_info(self) -> Option<&'static TypeInfo> {
        SCALARS.iter().chain(ARRAYS).find(|info| info.oid == self && self != Self::INVALID)
    }

    /// The array type over this type.
    pub fn array_type(self) -> Option<Oid> {
        self.type_info().map(|info| info.array).filter(|oid| *oid != Self::INVALID)
    }

    /// Whether values of this type are OIDs that show as the names of objects: regclass and its kin.
    pub fn is_object_name(self) -> bool {
        OBJECT_NAMES.contains(&self)
    }

    /// Whether values of this type are held as unsigned numbers of four bytes.
    pub fn is_unsigned(self) -> bool {
        matches!(self, Self::OID | Self::XID) || self.is_object_name()
    }

    /// The element type of this array type.
    pub fn element_type(self) -> Option<Oid> {
        self.type_info().map(|info| info.element).filter(|oid| *oid != Self::INVALID)
    }
}

/// Every built-in type, for `pg_type`.
pub fn all_types() -> impl Iterator<Item = &'static TypeInfo> {
    SCALARS.iter().chain(ARRAYS).filter(|info| info.oid != Oid::INVALID)
}
