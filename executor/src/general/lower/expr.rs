//! Expressions as DataFusion's physical expressions.
//!
//! Comparisons, connectives, CASE and the like become DataFusion's own where they mean exactly the same, on values or on
//! their keys (`fragment::key_form`). Everything else is one of our functions.

use std::sync::{Arc, LazyLock};

use arrow::{
    array::RecordBatchOptions,
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::{
    config::ConfigOptions,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExprRef, ScalarFunctionExpr,
        expressions::{BinaryExpr, CaseExpr, CastExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NotExpr, in_list},
    },
};
use fragment::{
    KeyForm, Logic, LogicKind, Operation, PgScalar, SubscriptKind, arrow_type, key_form, key_type, scalar_value,
};
use planner::plan::Expr;
use proto::{SqlError, SqlResult};
use schema::{
    Datum, Oid, SqlType,
    functions::{CastContext, EvalContext, Function},
};
use sharddb_fragment as fragment;
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use crate::general::{context::failed, expr::sql_type};

static CONFIG: LazyLock<Arc<ConfigOptions>> = LazyLock::new(|| Arc::new(ConfigOptions::default()));

/// Lowers expressions over one input.
pub(in crate::general) struct Exprs<'a> {
    eval: &'a Arc<EvalContext>,
    schema: &'a Schema,
}

impl<'a> Exprs<'a> {
    pub(in crate::general) fn new(eval: &'a Arc<EvalContext>, schema: &'a Schema) -> Self {
        Self { eval, schema }
    }

    pub(in crate::general) fn lower_all<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) -> SqlResult<Vec<PhysicalExprRef>> {
        exprs.into_iter().map(|expr| self.lower(expr)).collect()
    }

    /// The expression's value.
    pub(in crate::general) fn lower(&self, expr: &Expr) -> SqlResult<PhysicalExprRef> {
        match expr {
            Expr::Column { index, sql_type } => self.column(*index, sql_type.oid),
            Expr::Constant { value, sql_type } => literal(sql_type.oid, value),
            // Only EXPLAIN lowers a plan whose outer row is not there.
            Expr::Outer { sql_type, .. } => literal(sql_type.oid, &Datum::Null),
            Expr::Call { function, args, sql_type } => self.call(function, args, *sql_type),
            Expr::Cast { input, sql_type, context } => self.cast(input, *sql_type, *context),
            Expr::And(args) => self.logic(LogicKind::And, args, Oid::BOOL),
            Expr::Or(args) => self.logic(LogicKind::Or, args, Oid::BOOL),
            Expr::Coalesce { args, sql_type } => self.logic(LogicKind::Coalesce, args, sql_type.oid),
            Expr::Not(input) => Ok(Arc::new(NotExpr::new(self.lower(input)?))),
            Expr::IsNull { input, negated } => self.is_null(input, *negated),
            Expr::IsBool { input, expected, negated } => self.is_bool(input, *expected, *negated),
            Expr::IsDistinct { left, right, equal, negated } => self.is_distinct(left, right, equal, *negated),
            Expr::Case { branches, otherwise, .. } => self.case(branches, otherwise),
            Expr::InList { input, list, equal, negated } => self.in_list(input, list, equal, *negated),
            Expr::Quantified { input, array, operator, all } => self.quantified(input, array, operator, *all),
            Expr::Array { elements, sql_type } => self.scalar(Operation::Array, elements.iter(), *sql_type),
            Expr::Subscript { array, indexes, sql_type } => self.subscript(array, indexes, *sql_type),
            Expr::Row(items) => self.scalar(Operation::Row, items.iter(), SqlType::new(Oid::RECORD)),
            Expr::Parameter { .. } | Expr::Subquery { .. } | Expr::Default => {
                Err(SqlError::internal("an expression was not converted"))
            }
        }
    }

    /// The expression's key: what stands for its value where values are compared.
    pub(in crate::general) fn key(&self, expr: &Expr) -> SqlResult<PhysicalExprRef> {
        let value = self.lower(expr)?;
        self.key_of(value, sql_type(expr).oid)
    }

    /// What stands for an expression's value where values are only compared for equality with each other: char(n) of one
    /// length is padded alike and needs no trimming.
    pub(in crate::general) fn equality_key(&self, expr: &Expr) -> SqlResult<PhysicalExprRef> {
        if equal_as_they_are(expr.sql_type()) { self.lower(expr) } else { self.key(expr) }
    }

    /// The key of a lowered value.
    pub(in crate::general) fn key_of(&self, value: PhysicalExprRef, oid: Oid) -> SqlResult<PhysicalExprRef> {
        if key_form(oid) == KeyForm::Native {
            return Ok(value);
        }
        let function = PgScalar::new(Operation::Key, vec![SqlType::new(oid)], SqlType::new(oid), Arc::clone(self.eval));
        let key = function_expr(function, vec![value], key_type(oid));
        if key.children()[0].is::<Literal>() { evaluate_constant(&key) } else { Ok(key) }
    }

    /// The key of an integer or text after conversion to the wider of its type and another.
    pub(in crate::general) fn widened(&self, expr: &Expr, other: Oid) -> SqlResult<PhysicalExprRef> {
        let (oid, value) = (sql_type(expr).oid, self.lower(expr)?);
        match wider(oid, other) {
            Some(common) if common != oid => native_cast(value, common),
            _ => Ok(value),
        }
    }

    /// Evaluates an expression that reads no columns.
    pub(in crate::general) fn evaluate(&self, expr: &Expr) -> SqlResult<Datum> {
        let lowered = self.lower(expr)?;
        let value = lowered.evaluate(&one_row()).map_err(failed)?;
        let array = value.into_array(1).map_err(failed)?;
        fragment::datum_at(sql_type(expr).oid, &array, 0)
    }

    fn column(&self, index: usize, oid: Oid) -> SqlResult<PhysicalExprRef> {
        let field = self.schema.fields().get(index);
        let field = field.ok_or_else(|| SqlError::internal(format!("no column {index} in {:?}", self.schema)))?;
        debug_assert_eq!(field.data_type(), &arrow_type(oid), "column {index} of {:?}", self.schema);
        Ok(Arc::new(Column::new(field.name(), index)))
    }

    /// One of our functions over operands.
    fn scalar<'e>(
        &self,
        operation: Operation,
        args: impl IntoIterator<Item = &'e Expr>,
        result: SqlType,
    ) -> SqlResult<PhysicalExprRef> {
        let args: Vec<&Expr> = args.into_iter().collect();
        let types = args.iter().map(|arg| sql_type(arg)).collect();
        let args = self.lower_all(args)?;
        let function = PgScalar::new(operation, types, result, Arc::clone(self.eval));
        Ok(function_expr(function, args, arrow_type(result.oid)))
    }

    fn call(&self, function: &'static Function, args: &[Expr], result: SqlType) -> SqlResult<PhysicalExprRef> {
        if let [left, right] = args
            && let Some(operator @ (Operator::Eq | Operator::NotEq)) = comparison(function)
            && let Some((left, right)) = self.same_length(left, right)?
        {
            return Ok(Arc::new(BinaryExpr::new(left, operator, right)));
        }
        if let [left, right] = args
            && let Some(operator) = comparison(function)
            && let Some((left, right)) = self.comparable(left, right)?
        {
            return Ok(Arc::new(BinaryExpr::new(left, operator, right)));
        }
        self.scalar(Operation::Call(function), args, result)
    }

    /// Both sides of an equality of char(n) as values of one length.
    fn same_length(&self, left: &Expr, right: &Expr) -> SqlResult<Option<(PhysicalExprRef, PhysicalExprRef)>> {
        let (a, b) = (left.sql_type(), right.sql_type());
        if a.oid != Oid::BPCHAR || b.oid != Oid::BPCHAR {
            return Ok(None);
        }
        if let Some(value) = padded_constant(right, a) {
            return Ok(Some((self.lower(left)?, literal(Oid::BPCHAR, &value)?)));
        }
        if let Some(value) = padded_constant(left, b) {
            return Ok(Some((literal(Oid::BPCHAR, &value)?, self.lower(right)?)));
        }
        if a == b && a.modifier >= 0 { Ok(Some((self.lower(left)?, self.lower(right)?))) } else { Ok(None) }
    }

    /// Both sides as values that DataFusion compares as PostgreSQL compares the originals, without making byte keys.
    fn comparable(&self, left: &Expr, right: &Expr) -> SqlResult<Option<(PhysicalExprRef, PhysicalExprRef)>> {
        let (a, b) = (sql_type(left).oid, sql_type(right).oid);
        let common = match wider(a, b) {
            Some(common) => common,
            None if arrow_type(a) == arrow_type(b) && key_form(a) == key_form(b) => a,
            None => return Ok(None),
        };
        if key_form(common) == KeyForm::Bytes {
            return Ok(None);
        }
        let side = |expr: &Expr, oid: Oid| -> SqlResult<PhysicalExprRef> {
            let value = self.lower(expr)?;
            let value = if oid == common { value } else { native_cast(value, common)? };
            self.key_of(value, common)
        };
        Ok(Some((side(left, a)?, side(right, b)?)))
    }

    fn cast(&self, input: &Expr, to: SqlType, context: CastContext) -> SqlResult<PhysicalExprRef> {
        let from = sql_type(input);
        if is_relabel(from, to) {
            return self.lower(input);
        }
        if to.modifier == -1 && wider(from.oid, to.oid) == Some(to.oid) && !input_is_constant(input) {
            return native_cast(self.lower(input)?, to.oid);
        }
        self.scalar(Operation::Cast(context), [input], to)
    }

    fn logic(&self, kind: LogicKind, args: &[Expr], oid: Oid) -> SqlResult<PhysicalExprRef> {
        let mut args = self.lower_all(args)?;
        if args.len() == 1 {
            return Ok(args.swap_remove(0));
        }
        Ok(Arc::new(Logic::new(kind, args, arrow_type(oid))))
    }

    fn is_null(&self, input: &Expr, negated: bool) -> SqlResult<PhysicalExprRef> {
        // A row value is null when every field is, and not null when no field is.
        if let Expr::Row(items) = input
            && !items.is_empty()
        {
            let items = items.iter().map(|item| Expr::IsNull { input: Box::new(item.clone()), negated });
            return self.logic(LogicKind::And, &items.collect::<Vec<_>>(), Oid::BOOL);
        }
        let input = self.lower(input)?;
        if negated { Ok(Arc::new(IsNotNullExpr::new(input))) } else { Ok(Arc::new(IsNullExpr::new(input))) }
    }

    fn is_bool(&self, input: &Expr, expected: Option<bool>, negated: bool) -> SqlResult<PhysicalExprRef> {
        let Some(expected) = expected else { return self.is_null(input, negated) };
        let operator = if negated { Operator::IsDistinctFrom } else { Operator::IsNotDistinctFrom };
        let expected = literal(Oid::BOOL, &Datum::Bool(expected))?;
        Ok(Arc::new(BinaryExpr::new(self.lower(input)?, operator, expected)))
    }

    fn is_distinct(
        &self,
        left: &Expr,
        right: &Expr,
        equal: &'static Function,
        negated: bool,
    ) -> SqlResult<PhysicalExprRef> {
        if let Some((left, right)) = self.comparable(left, right)? {
            let operator = if negated { Operator::IsNotDistinctFrom } else { Operator::IsDistinctFrom };
            return Ok(Arc::new(BinaryExpr::new(left, operator, right)));
        }
        self.scalar(Operation::IsDistinct { equal, negated }, [left, right], SqlType::new(Oid::BOOL))
    }

    fn case(&self, branches: &[(Expr, Expr)], otherwise: &Expr) -> SqlResult<PhysicalExprRef> {
        let branches = branches.iter().map(|(when, then)| Ok((self.lower(when)?, self.lower(then)?)));
        let branches = branches.collect::<SqlResult<Vec<_>>>()?;
        let case = CaseExpr::try_new(None, branches, Some(self.lower(otherwise)?)).map_err(failed)?;
        Ok(Arc::new(case))
    }

    fn in_list(
        &self,
        input: &Expr,
        list: &[Expr],
        equal: &'static Function,
        negated: bool,
    ) -> SqlResult<PhysicalExprRef> {
        let oid = sql_type(input).oid;
        let constants = list.iter().all(|item| matches!(item, Expr::Constant { .. }) && sql_type(item).oid == oid);
        let length = sql_type(input);
        if constants && length.oid == Oid::BPCHAR && length.modifier >= 4 {
            let item = |item: &Expr| literal(oid, &padded_constant(item, length).unwrap_or(Datum::Null));
            let items = list.iter().map(item).collect::<SqlResult<Vec<_>>>()?;
            return in_list(self.lower(input)?, items, &negated, self.schema).map_err(failed);
        }
        if constants && equal.args == [oid, oid] {
            let items = list.iter().map(|item| self.key(item)).collect::<SqlResult<Vec<_>>>()?;
            return self.in_keys(input, items, negated);
        }
        let args = [input].into_iter().chain(list);
        self.scalar(Operation::InList { equal, negated }, args, SqlType::new(Oid::BOOL))
    }

    fn in_keys(&self, input: &Expr, keys: Vec<PhysicalExprRef>, negated: bool) -> SqlResult<PhysicalExprRef> {
        let input = self.key(input)?;
        in_list(input, keys, &negated, self.schema).map_err(failed)
    }

    fn quantified(
        &self,
        input: &Expr,
        array: &Expr,
        operator: &'static Function,
        all: bool,
    ) -> SqlResult<PhysicalExprRef> {
        let oid = sql_type(input).oid;
        let listed = matches!((operator.operator, all), (Some("="), false) | (Some("<>"), true));
        if let Expr::Constant { value: Datum::Array(values), .. } = array
            && listed
            && operator.args == [oid, oid]
            && values.element == oid
            && !values.values.is_empty()
        {
            let key = |value: &Datum| self.key_of(literal(oid, value)?, oid);
            let keys = values.values.iter().map(key).collect::<SqlResult<Vec<_>>>()?;
            return self.in_keys(input, keys, all);
        }
        self.scalar(Operation::Quantified { operator, all }, [input, array], SqlType::new(Oid::BOOL))
    }

    fn subscript(
        &self,
        array: &Expr,
        indexes: &[(Option<Expr>, Option<Option<Expr>>)],
        result: SqlType,
    ) -> SqlResult<PhysicalExprRef> {
        let slice = indexes.iter().any(|(_, upper)| upper.is_some());
        let mut kinds = Vec::with_capacity(indexes.len());
        let mut args = vec![array];
        for (lower, upper) in indexes {
            let (lower, upper) = match upper {
                // In a slice `a[2:3][4]`, a single index is an upper bound.
                None if slice => (None, lower.as_ref()),
                None => (lower.as_ref(), None),
                Some(upper) => (lower.as_ref(), upper.as_ref()),
            };
            kinds.push(SubscriptKind { lower: lower.is_some(), upper: upper.is_some() });
            args.extend(lower);
            args.extend(upper);
        }
        self.scalar(Operation::Subscript { indexes: kinds, slice }, args, result)
    }
}

fn function_expr(function: PgScalar, args: Vec<PhysicalExprRef>, result: DataType) -> PhysicalExprRef {
    let udf = function.into_udf();
    let name = udf.name().to_owned();
    let field = Arc::new(Field::new(&name, result, true));
    Arc::new(ScalarFunctionExpr::new(&name, udf, args, field, Arc::clone(&CONFIG)))
}

/// A constant.
pub(in crate::general) fn literal(oid: Oid, value: &Datum) -> SqlResult<PhysicalExprRef> {
    Ok(Arc::new(Literal::new(scalar_value(oid, value)?)))
}

/// A batch of one row without columns.
fn one_row() -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
        .unwrap_or_else(|_| RecordBatch::new_empty(Arc::new(Schema::empty())))
}

fn evaluate_constant(expr: &PhysicalExprRef) -> SqlResult<PhysicalExprRef> {
    let array = expr.evaluate(&one_row()).and_then(|value| value.into_array(1)).map_err(failed)?;
    let value = datafusion::common::ScalarValue::try_from_array(&array, 0).map_err(failed)?;
    Ok(Arc::new(Literal::new(value)))
}

fn input_is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant { .. })
}

fn comparison(function: &Function) -> Option<Operator> {
    Some(match function.operator? {
        "=" => Operator::Eq,
        "<>" => Operator::NotEq,
        "<" => Operator::Lt,
        "<=" => Operator::LtEq,
        ">" => Operator::Gt,
        ">=" => Operator::GtEq,
        _ => return None,
    })
}

/// The type that holds every value of both, where widening keeps each value: integers, and floats.
fn wider(a: Oid, b: Oid) -> Option<Oid> {
    let rank = |oid| match oid {
        Oid::INT2 => Some((0, 0)),
        Oid::INT4 => Some((0, 1)),
        Oid::INT8 => Some((0, 2)),
        Oid::FLOAT4 => Some((1, 0)),
        Oid::FLOAT8 => Some((1, 1)),
        _ => None,
    };
    let ((family, x), (other, y)) = (rank(a)?, rank(b)?);
    (family == other).then_some(if x >= y { a } else { b })
}

fn native_cast(value: PhysicalExprRef, to: Oid) -> SqlResult<PhysicalExprRef> {
    let field = Arc::new(Field::new("cast", arrow_type(to), true));
    Ok(Arc::new(CastExpr::new_with_target_field(value, field, None)))
}

/// Whether values of a type are equal exactly when their representations are.
pub(in crate::general) fn equal_as_they_are(sql_type: SqlType) -> bool {
    key_form(sql_type.oid) == KeyForm::Native || (sql_type.oid == Oid::BPCHAR && sql_type.modifier >= 0)
}

/// A constant of char(n) as one padded to the length of another operand.
fn padded_constant(expr: &Expr, other: SqlType) -> Option<Datum> {
    match expr {
        Expr::Constant { value: Datum::Text(text), .. } if other.oid == Oid::BPCHAR && other.modifier >= 4 => {
            let length = other.modifier as usize - 4;
            let trimmed = text.trim_end_matches(' ');
            // A longer one equals nothing, and stays longer.
            Some(Datum::text(schema::text::pad_bpchar(trimmed, length).as_ref()))
        }
        _ => None,
    }
}

/// Whether a conversion changes nothing but the type's name.
fn is_relabel(from: SqlType, to: SqlType) -> bool {
    let text = |oid| matches!(oid, Oid::TEXT | Oid::VARCHAR | Oid::UNKNOWN);
    let same = from.oid == to.oid
        || (text(from.oid) && text(to.oid))
        || (from.oid == Oid::NAME && matches!(to.oid, Oid::TEXT | Oid::VARCHAR));
    same && (to.modifier == -1 || from == to)
}
