//! Operators that work row by row.

use std::sync::Arc;

use datafusion::physical_plan::{ExecutionPlan, filter::FilterExec, projection::ProjectionExec};
use planner::plan::Expr;
use proto::{SqlError, SqlResult};
use schema::{Oid, functions::set_function};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{Lower, Lowered, Scope, schema_of, single};
use crate::general::{
    context::failed,
    explain::{Note, deparse, deparse_all},
    expr::{conjunction, is_immutable, sql_type},
    ir::{Call, CallKind, Node, Rel, SetCall},
    operators::{Apply, Ask, Lateral, OperatorExec, ProjectSet, SetFunctionCall, Subplan, SubqueryColumn},
};

impl Lower<'_> {
    pub(super) fn filter(&self, input: &Rel, conditions: &[Expr], scope: &Scope) -> SqlResult<Lowered> {
        let lowered = match &input.node {
            Node::Scan(scan) => self.scan(input, scan, conditions)?,
            _ => self.rel(input, scope)?,
        };
        let (pushable, rest): (Vec<Expr>, Vec<Expr>) = conditions.iter().cloned().partition(is_immutable);
        let lowered = self.filter_plan(lowered, pushable, input, true)?;
        self.filter_plan(lowered, rest, input, false)
    }

    fn filter_plan(&self, input: Lowered, conditions: Vec<Expr>, rel: &Rel, may_push: bool) -> SqlResult<Lowered> {
        if conditions.is_empty() {
            return Ok(input);
        }
        let text = self.explain.then(|| deparse_all(&conditions, &rel.columns));
        let schema = input.plan.schema();
        let predicate = self.exprs(&schema).lower(&conjunction(conditions))?;
        let operator = |plan: Arc<dyn ExecutionPlan>| -> SqlResult<Arc<dyn ExecutionPlan>> {
            Ok(Arc::new(FilterExec::try_new(Arc::clone(&predicate), plan).map_err(failed)?))
        };
        let detail = |text: Option<String>| format!("Filter: {}", text.unwrap_or_default());
        if may_push && let Some(plan) = self.push(&input, operator)? {
            let note = self.note(|| input.note.in_fragment(|leaf| leaf.detail(detail(text))).metered(&plan));
            return Ok(Lowered { plan, note });
        }
        let plan = operator(input.plan)?;
        let note = self.note(|| input.note.detail(detail(text)).metered(&plan));
        Ok(Lowered { plan, note })
    }

    pub(super) fn project(&self, rel: &Rel, input: &Rel, exprs: &[Expr], scope: &Scope) -> SqlResult<Lowered> {
        let lowered = self.rel(input, scope)?;
        self.project_plan(lowered, rel, exprs)
    }

    /// Computes columns over a plan.
    pub(super) fn project_plan(&self, input: Lowered, rel: &Rel, exprs: &[Expr]) -> SqlResult<Lowered> {
        let schema = input.plan.schema();
        let lowered = self.exprs(&schema).lower_all(exprs)?;
        let names = rel.columns.iter().map(|column| column.name.to_string());
        let columns: Vec<_> = lowered.into_iter().zip(names).collect();
        let operator = |plan: Arc<dyn ExecutionPlan>| -> SqlResult<Arc<dyn ExecutionPlan>> {
            Ok(Arc::new(ProjectionExec::try_new(columns.clone(), plan).map_err(failed)?))
        };
        if exprs.iter().all(is_immutable)
            && let Some(plan) = self.push(&input, operator)?
        {
            let note = self.note(|| input.note.metered(&plan));
            return Ok(Lowered { plan, note });
        }
        Ok(Lowered { plan: operator(input.plan)?, note: input.note })
    }

    pub(super) fn project_set(
        &self,
        rel: &Rel,
        input: &Rel,
        functions: &[SetCall],
        ordinality: bool,
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        let lowered = self.single_rel(input, scope)?;
        let schema = lowered.plan.schema();
        let mut column = input.arity();
        let mut calls = Vec::with_capacity(functions.len());
        for call in functions {
            let arg_types: Vec<Oid> = call.args.iter().map(|arg| sql_type(arg).oid).collect();
            let function = find_set_function(&call.name, &arg_types)?;
            let result = rel.columns[column..column + call.width].iter().map(|column| column.sql_type.oid).collect();
            column += call.width;
            calls.push(SetFunctionCall {
                function,
                args: self.exprs(&schema).lower_all(&call.args)?,
                arg_types,
                result,
            });
        }
        let operator = ProjectSet { statement: Arc::clone(self.statement), calls: Arc::new(calls), ordinality };
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(operator, vec![lowered.plan], schema_of(&rel.columns)));
        let note = self.note(|| match (&input.node, functions) {
            (Node::Unit, [call]) => Note::titled(format!("Function Scan on {}", call.name)).metered(&plan),
            _ => Note::titled("ProjectSet").metered(&plan).with_child(lowered.note),
        });
        Ok(Lowered { plan, note })
    }

    /// Types of a relation's columns.
    fn types(rel: &Rel) -> Vec<Oid> {
        rel.columns.iter().map(|column| column.sql_type.oid).collect()
    }

    fn subplan(&self, rel: &Rel, scope: &Scope, outer: &Rel) -> Subplan {
        Subplan::new(Arc::clone(self.statement), rel.clone(), scope.clone(), &Self::types(outer))
    }

    /// The note of a subquery, whose outer columns have no values yet.
    fn subquery_note(&self, rel: &Rel, scope: &Scope) -> SqlResult<Note> {
        if !self.explain {
            return Ok(Note::default());
        }
        let rel = crate::general::optimize::optimize(self.statement, rel.clone())?;
        Ok(self.rel(&rel, scope)?.note.labelled("SubPlan"))
    }

    pub(super) fn apply(&self, rel: &Rel, input: &Rel, calls: &[Call], scope: &Scope) -> SqlResult<Lowered> {
        let lowered = self.single_rel(input, scope)?;
        let schema = schema_of(&rel.columns);
        let exprs = self.exprs(&schema);
        let mut columns = Vec::with_capacity(calls.len());
        let mut notes = Vec::new();
        for call in calls {
            let ask = match &call.kind {
                CallKind::Scalar => Ask::Scalar,
                CallKind::Array => Ask::Array,
                CallKind::Exists => Ask::Exists,
                CallKind::Compare { inputs, operators, all } => Ask::Compare {
                    inputs: exprs.lower_all(inputs)?,
                    input_types: inputs.iter().map(|input| sql_type(input).oid).collect(),
                    operators: operators.clone(),
                    all: *all,
                },
            };
            let guard = call.guard.as_ref().map(|guard| exprs.lower(guard)).transpose()?;
            notes.push(self.subquery_note(&call.rel, scope)?);
            columns.push(SubqueryColumn {
                ask,
                plan: self.subplan(&call.rel, scope, input),
                sql_type: call.sql_type,
                guard,
            });
        }
        let operator = Apply { statement: Arc::clone(self.statement), columns: Arc::new(columns) };
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(operator, vec![lowered.plan], Arc::clone(&schema)));
        let note = self.note(|| {
            let mut note = Note::titled("Subqueries").metered(&plan).with_child(lowered.note);
            note.children.extend(notes);
            note
        });
        Ok(Lowered { plan, note })
    }

    pub(super) fn lateral(
        &self,
        rel: &Rel,
        left: &Rel,
        right: &Rel,
        outer: bool,
        on: &[Expr],
        scope: &Scope,
    ) -> SqlResult<Lowered> {
        let lowered = self.rel(left, scope)?;
        let schema = schema_of(&rel.columns);
        let filter = (!on.is_empty()).then(|| self.exprs(&schema).lower(&conjunction(on.to_vec()))).transpose()?;
        let operator = Lateral {
            plan: Arc::new(self.subplan(right, scope, left)),
            outer,
            filter,
            right_types: Self::types(right),
        };
        let right_note = self.subquery_note(right, scope)?;
        let plan: Arc<dyn ExecutionPlan> =
            Arc::new(OperatorExec::new(operator, vec![single(lowered.plan)], Arc::clone(&schema)));
        let note = self.note(|| {
            let mut note = Note::titled(if outer { "Nested Loop Left Join" } else { "Nested Loop" }).metered(&plan);
            note.details.extend(on.iter().map(|on| format!("Join Filter: {}", deparse(on, &rel.columns))));
            note.with_child(lowered.note).with_child(right_note)
        });
        Ok(Lowered { plan, note })
    }
}

fn find_set_function(name: &str, args: &[Oid]) -> SqlResult<&'static schema::functions::SetFunction> {
    set_function(name, args)
        .or_else(|| {
            let types: Vec<schema::SqlType> = args.iter().map(|oid| schema::SqlType::new(*oid)).collect();
            schema::functions::resolve_set_function(name, &types).ok().map(|resolved| resolved.function)
        })
        .ok_or_else(|| SqlError::unsupported(format!("set-returning function {name}")))
}
