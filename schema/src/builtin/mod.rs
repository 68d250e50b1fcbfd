//! What PostgreSQL's catalogs say of built-in types, functions, operators and casts: OIDs and properties.
//!
//! The facts are PostgreSQL 15's, restricted to types that exist here; functions and operators that do not exist here
//! are left out when the tables are read. Read by the system catalog and by the `reg…` types; binding and evaluation
//! go by the function tables instead.

mod classes;
mod functions;
mod line;
mod operators;
mod types;

pub use classes::{
    Cast, FamilyFunction, FamilyOperator, OperatorClass, OperatorFamily, casts, family_functions, family_operators,
    operator_classes, operator_families,
};
pub use functions::{
    BuiltinAggregate, BuiltinFunction, aggregates, direct_arguments, function, functions, functions_named,
};
pub use operators::{BuiltinOperator, operator, operators, operators_named};
pub use types::{TypeFacts, type_facts};
