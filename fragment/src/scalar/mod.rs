//! PostgreSQL's scalar functions, operators, casts and constructors as one kind of DataFusion function.
//!
//! A [`PgScalar`] is an [`Operation`] with the types of its arguments and result and the statement's [`EvalContext`].
//! It evaluates row by row over datums, except for operations with a kernel. Types are exact: nothing here converts
//! arguments, the lowering has inserted every cast.
//!
//! Does not: evaluate subqueries or set-returning functions.

mod array;
mod kernels;
mod literal;
mod numeric_kernels;
mod operation;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow::{array::ArrayRef, datatypes::DataType};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use schema::{Datum, SqlType, functions};
use sharddb_schema as schema;

pub use self::{
    literal::{scalar_to_datum, scalar_value},
    operation::{Operation, SubscriptKind},
};
use crate::{builder::ColumnBuilder, column::Column, error::to_datafusion, keys, types::arrow_type};

/// A scalar operation as a DataFusion function.
#[derive(Debug)]
pub struct PgScalar {
    operation: Operation,
    args: Vec<SqlType>,
    result: SqlType,
    context: Arc<functions::EvalContext>,
    name: String,
    return_type: DataType,
    signature: Signature,
    kernel: Option<kernels::Kernel>,
}

impl PgScalar {
    /// The function for an operation over arguments of these types.
    pub fn new(
        operation: Operation,
        args: Vec<SqlType>,
        result: SqlType,
        context: Arc<functions::EvalContext>,
    ) -> Self {
        let volatility = match operation.volatility() {
            functions::Volatility::Immutable => Volatility::Immutable,
            functions::Volatility::Stable => Volatility::Stable,
            functions::Volatility::Volatile => Volatility::Volatile,
        };
        let return_type = match operation {
            Operation::Key => keys::key_type(result.oid),
            _ => arrow_type(result.oid),
        };
        Self {
            name: operation.name(&args, result),
            kernel: kernels::find(&operation, &args, result),
            signature: Signature::user_defined(volatility),
            operation,
            args,
            result,
            context,
            return_type,
        }
    }

    /// The same as a shared DataFusion function.
    pub fn into_udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }

    /// What it computes.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Types of its arguments.
    pub fn args(&self) -> &[SqlType] {
        &self.args
    }

    /// Type of its result; for a key the type of the argument.
    pub fn result(&self) -> SqlType {
        self.result
    }

    /// Evaluates row by row.
    fn by_row(&self, args: &[ColumnarValue], rows: usize) -> Result<ColumnarValue> {
        if self.operation.volatility() != functions::Volatility::Volatile
            && args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
        {
            let array = self.rows_of(args, 1)?;
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(self.rows_of(args, rows)?))
    }

    fn rows_of(&self, args: &[ColumnarValue], rows: usize) -> Result<ArrayRef> {
        let mut row = vec![Datum::Null; args.len()];
        let mut columns = Vec::with_capacity(args.len());
        for (at, (arg, sql_type)) in args.iter().zip(&self.args).enumerate() {
            match arg {
                ColumnarValue::Array(array) => {
                    columns.push((at, Column::new(sql_type.oid, array.as_ref()).map_err(to_datafusion)?));
                }
                ColumnarValue::Scalar(value) => {
                    row[at] = scalar_to_datum(sql_type.oid, value).map_err(to_datafusion)?
                }
            }
        }
        let strict = self.operation.is_strict();
        let constant_null =
            strict && args.iter().zip(&row).any(|(arg, v)| matches!(arg, ColumnarValue::Scalar(_)) && v.is_null());
        let mut builder = ColumnBuilder::new(self.result.oid, rows);
        for at in 0..rows {
            if constant_null || (strict && columns.iter().any(|(_, column)| column.is_null(at))) {
                builder.append_null();
                continue;
            }
            for (place, column) in &columns {
                row[*place] = column.datum(at).map_err(to_datafusion)?;
            }
            let value = self.operation.eval(&self.context, &self.args, &row, self.result).map_err(to_datafusion)?;
            builder.append(&value).map_err(to_datafusion)?;
        }
        Ok(builder.finish())
    }
}

/// Functions are equal when they compute the same under the same context.
impl PartialEq for PgScalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.operation == other.operation
            && self.args == other.args
            && self.result == other.result
    }
}

impl Eq for PgScalar {}

impl Hash for PgScalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.args.hash(state);
        self.result.hash(state);
    }
}

impl ScalarUDFImpl for PgScalar {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.return_type.clone())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn is_strict(&self) -> bool {
        self.operation.is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Operation::Key = self.operation {
            return keys::key_column(self.result.oid, &args.args[0]);
        }
        if let Some(kernel) = self.kernel
            && let Some(value) = kernel(&args.args)
        {
            return value;
        }
        self.by_row(&args.args, args.number_rows)
    }
}
