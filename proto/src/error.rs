//! The error a client sees, with PostgreSQL's fields.
//!
//! Every crate above storage answers a client with this type; crates below have enums of their own
//! whose `sqlstate()` is total. Messages follow PostgreSQL's style: lower case, no full stop, names
//! quoted; detail and hint are sentences.

use std::{error::Error, fmt};

use crate::SqlState;

/// Answer of everything that can fail towards a client.
pub type SqlResult<T> = Result<T, SqlError>;

/// Optional fields of an error, as in PostgreSQL's ErrorResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFields {
    /// A sentence with particulars.
    pub detail: Option<String>,
    /// A sentence with advice.
    pub hint: Option<String>,
    /// Position in the statement text, in characters, starting at 1.
    pub position: Option<u32>,
    /// Where it happened, one line a level.
    pub context: Option<String>,
    /// Schema of the object concerned.
    pub schema: Option<String>,
    /// Table concerned.
    pub table: Option<String>,
    /// Column concerned.
    pub column: Option<String>,
    /// Data type concerned.
    pub data_type: Option<String>,
    /// Constraint concerned.
    pub constraint: Option<String>,
}

/// An error with a SQLSTATE, a message and PostgreSQL's optional fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    state: SqlState,
    message: String,
    fields: ErrorFields,
}

impl SqlError {
    /// An error without optional fields.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { state, message: message.into(), fields: ErrorFields::default() }))
    }

    /// `0A000`, naming the feature: "{feature} is not supported".
    pub fn unsupported(feature: impl fmt::Display) -> Self {
        Self::new(SqlState::FeatureNotSupported, format!("{feature} is not supported"))
    }

    /// `XX000`: a bug in ShardDB.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::InternalError, message)
    }

    /// The SQLSTATE.
    pub fn state(&self) -> SqlState {
        self.0.state
    }

    /// The primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The optional fields.
    pub fn fields(&self) -> &ErrorFields {
        &self.0.fields
    }

    /// Replaces all optional fields.
    #[must_use]
    pub fn with_fields(mut self, fields: ErrorFields) -> Self {
        self.0.fields = fields;
        self
    }

    /// Adds a detail sentence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.fields.detail = Some(detail.into());
        self
    }

    /// Adds a hint sentence.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.fields.hint = Some(hint.into());
        self
    }

    /// Adds the position in characters, starting at 1, unless there is one.
    #[must_use]
    pub fn with_position(mut self, position: u32) -> Self {
        self.0.fields.position.get_or_insert(position);
        self
    }

    /// Adds a context line below those there are.
    #[must_use]
    pub fn with_context(mut self, line: impl Into<String>) -> Self {
        let line = line.into();
        self.0.fields.context = Some(match self.0.fields.context.take() {
            Some(lines) => format!("{lines}\n{line}"),
            None => line,
        });
        self
    }

    /// Adds the schema and table concerned.
    #[must_use]
    pub fn with_table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.0.fields.schema = Some(schema.into());
        self.0.fields.table = Some(table.into());
        self
    }

    /// Adds the column concerned.
    #[must_use]
    pub fn with_column(mut self, column: impl Into<String>) -> Self {
        self.0.fields.column = Some(column.into());
        self
    }

    /// Adds the data type concerned.
    #[must_use]
    pub fn with_data_type(mut self, data_type: impl Into<String>) -> Self {
        self.0.fields.data_type = Some(data_type.into());
        self
    }

    /// Adds the constraint concerned.
    #[must_use]
    pub fn with_constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.fields.constraint = Some(constraint.into());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for SqlError {}
