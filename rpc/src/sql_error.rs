//! `proto::SqlError` as it crosses the network: every field.

use proto::{ErrorFields, SqlError, SqlState, rpc};
use sharddb_proto as proto;

pub(crate) fn to_wire(error: &SqlError) -> rpc::SqlError {
    let fields = error.fields().clone();
    rpc::SqlError {
        sqlstate: error.state().code().to_owned(),
        message: error.message().to_owned(),
        detail: fields.detail,
        hint: fields.hint,
        position: fields.position,
        context: fields.context,
        schema: fields.schema,
        table: fields.table,
        column: fields.column,
        data_type: fields.data_type,
        constraint: fields.constraint,
    }
}

pub(crate) fn from_wire(wire: rpc::SqlError) -> SqlError {
    // A code that this version does not know.
    let state = SqlState::from_code(&wire.sqlstate).unwrap_or(SqlState::InternalError);
    let fields = ErrorFields {
        detail: wire.detail,
        hint: wire.hint,
        position: wire.position,
        context: wire.context,
        schema: wire.schema,
        table: wire.table,
        column: wire.column,
        data_type: wire.data_type,
        constraint: wire.constraint,
    };
    SqlError::new(state, wire.message).with_fields(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_crosses() {
        let text = |name: &str| Some(format!("the {name}"));
        let fields = ErrorFields {
            detail: text("detail"),
            hint: text("hint"),
            position: Some(7),
            context: text("context"),
            schema: text("schema"),
            table: text("table"),
            column: text("column"),
            data_type: text("type"),
            constraint: text("constraint"),
        };
        let error = SqlError::new(SqlState::UniqueViolation, "no").with_fields(fields);
        assert_eq!(from_wire(to_wire(&error)), error);
        let bare = SqlError::internal("bare");
        assert_eq!(from_wire(to_wire(&bare)), bare);
    }
}
