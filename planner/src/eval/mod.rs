//! Computing bound expressions for one row.

mod arrays;

use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid,
    cast::cast,
    functions::{EvalContext, Function},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::plan::Expr;

/// The value of an expression over a row. `params` are the statement's parameters, in their types.
///
/// # Errors
/// What the functions answer. Subqueries, columns of outer rows and DEFAULT cannot be computed here: XX000.
pub fn eval(expr: &Expr, row: &[Datum], params: &[Datum], context: &EvalContext) -> SqlResult<Datum> {
    Evaluation { row, params, context }.value(expr)
}

/// What an expression's leaves refer to.
#[derive(Clone, Copy)]
struct Evaluation<'a> {
    row: &'a [Datum],
    params: &'a [Datum],
    context: &'a EvalContext,
}

impl Evaluation<'_> {
    fn value(&self, expr: &Expr) -> SqlResult<Datum> {
        match expr {
            Expr::Column { index, .. } => Ok(self.row[*index].clone()),
            Expr::Constant { value, .. } => Ok(value.clone()),
            Expr::Parameter { index, .. } => Ok(self.params[*index].clone()),
            Expr::Call { function, args, .. } => self.call(function, args),
            Expr::Cast { input, sql_type, context } => {
                let value = self.value(input)?;
                cast(&value, input.sql_type(), *sql_type, *context, self.context)
            }
            Expr::And(conditions) => self.connective(conditions, false),
            Expr::Or(conditions) => self.connective(conditions, true),
            Expr::Not(input) => Ok(match self.truth(input)? {
                Some(truth) => Datum::Bool(!truth),
                None => Datum::Null,
            }),
            Expr::IsNull { input, negated } => {
                let value = self.value(input)?;
                Ok(Datum::Bool(value.is_null() != *negated))
            }
            Expr::IsBool { input, expected, negated } => Ok(Datum::Bool((self.truth(input)? == *expected) != *negated)),
            Expr::IsDistinct { left, right, equal, negated } => self.is_distinct(left, right, equal, *negated),
            Expr::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    if self.truth(condition)? == Some(true) {
                        return self.value(result);
                    }
                }
                self.value(otherwise)
            }
            Expr::Coalesce { args, .. } => {
                for arg in args {
                    let value = self.value(arg)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            Expr::InList { input, list, equal, negated } => self.in_list(input, list, equal, *negated),
            Expr::Quantified { input, array, operator, all } => self.quantified(input, array, operator, *all),
            Expr::Array { elements, sql_type } => self.array(elements, *sql_type),
            Expr::Subscript { array, indexes, .. } => self.subscript(array, indexes),
            Expr::Row(items) => {
                let values = items.iter().map(|item| Ok((item.sql_type().oid, self.value(item)?)));
                Ok(Datum::Record(values.collect::<SqlResult<Vec<(Oid, Datum)>>>()?.into()))
            }
            Expr::Outer { .. } => Err(SqlError::internal("a column of an outer row in a plain expression")),
            Expr::Subquery { .. } => Err(SqlError::internal("a subquery in a plain expression")),
            Expr::Default => Err(SqlError::internal("DEFAULT in a plain expression")),
        }
    }

    fn call(&self, function: &'static Function, args: &[Expr]) -> SqlResult<Datum> {
        let mut values: smallvec::SmallVec<[Datum; 4]> = smallvec::SmallVec::with_capacity(args.len());
        for arg in args {
            let value = self.value(arg)?;
            if function.strict && value.is_null() {
                return Ok(Datum::Null);
            }
            values.push(value);
        }
        (function.eval)(self.context, &values)
    }

    /// A condition's value; NULL is `None`.
    fn truth(&self, expr: &Expr) -> SqlResult<Option<bool>> {
        match self.value(expr)? {
            Datum::Bool(truth) => Ok(Some(truth)),
            Datum::Null => Ok(None),
            _ => Err(SqlError::internal("a condition that is not boolean")),
        }
    }

    /// AND (`decisive` false) or OR (true): the decisive value wins, else NULL, else the other.
    fn connective(&self, conditions: &[Expr], decisive: bool) -> SqlResult<Datum> {
        let mut unknown = false;
        for condition in conditions {
            match self.truth(condition)? {
                Some(truth) if truth == decisive => return Ok(Datum::Bool(decisive)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(!decisive) })
    }

    fn is_distinct(&self, left: &Expr, right: &Expr, equal: &'static Function, negated: bool) -> SqlResult<Datum> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        let distinct = match (left.is_null(), right.is_null()) {
            (true, true) => false,
            (false, false) => !matches!((equal.eval)(self.context, &[left, right])?, Datum::Bool(true)),
            _ => true,
        };
        Ok(Datum::Bool(distinct != negated))
    }

    fn in_list(&self, input: &Expr, list: &[Expr], equal: &'static Function, negated: bool) -> SqlResult<Datum> {
        let input = self.value(input)?;
        if input.is_null() {
            return Ok(Datum::Null);
        }
        let mut unknown = false;
        for item in list {
            let item = self.value(item)?;
            if item.is_null() {
                unknown = true;
            } else if matches!((equal.eval)(self.context, &[input.clone(), item])?, Datum::Bool(true)) {
                return Ok(Datum::Bool(!negated));
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(negated) })
    }
}
