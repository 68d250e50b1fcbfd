//! What columns and calls of a query's expressions are written as.

use std::cell::Cell;

use schema::{FormatSettings, functions};
use sharddb_schema as schema;

use super::{
    super::scope::{CallKind, Scope, ScopeColumn},
    select::direction,
};
use crate::{
    plan::{AggregateCall, Expr, FrameBound, FrameUnit, SortKey, WindowCall, WindowFunction},
    show::{Names, Writer},
};

/// The column of a scope that stands at a position of its row.
pub(super) fn column<'s>(scope: &'s Scope<'_>, index: usize) -> Option<&'s ScopeColumn> {
    let here = |column: &&ScopeColumn| matches!(&column.expr, Expr::Column { index: at, .. } if *at == index);
    let of_table = scope.columns.iter().filter(here).find(|column| column.table.is_some());
    of_table.or_else(|| scope.columns.iter().find(here))
}

/// Names by a scope.
pub(super) struct ScopeNames<'a, 's> {
    scope: &'a Scope<'s>,
    pretty: bool,
    format: &'a FormatSettings,
    indent: usize,
    incomplete: Cell<bool>,
}

impl<'a, 's> ScopeNames<'a, 's> {
    pub(super) fn new(scope: &'a Scope<'s>, pretty: bool, format: &'a FormatSettings, indent: usize) -> Self {
        Self { scope, pretty, format, indent, incomplete: Cell::new(false) }
    }

    /// There was something without a text.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    fn give_up(&self) -> String {
        self.incomplete.set(true);
        String::new()
    }

    fn text(&self, expr: &Expr, implicit: bool) -> String {
        let mut writer = Writer::new(self, self.pretty, self.format, self.indent);
        writer.expr(expr, implicit);
        writer.finish().unwrap_or_else(|| self.give_up())
    }

    fn texts(&self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.text(expr, true)).collect::<Vec<_>>().join(", ")
    }

    fn keys(&self, keys: &[SortKey]) -> String {
        let key = |key: &SortKey| {
            let text = self.text(&key.expr, true);
            let plain = matches!(&key.expr, Expr::Column { index, .. } if CallKind::of(*index).is_none());
            let text = if !plain && self.pretty { format!("({text})") } else { text };
            text + direction(key)
        };
        keys.iter().map(key).collect::<Vec<_>>().join(", ")
    }

    fn filter(&self, filter: Option<&Expr>) -> String {
        filter.map_or_else(String::new, |filter| format!(" FILTER (WHERE {})", self.text(filter, false)))
    }

    fn aggregate(&self, call: &AggregateCall) -> String {
        if functions::is_ordered_set(call.function.name) {
            return self.give_up();
        }
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let args = if call.args.is_empty() { "*".to_owned() } else { self.texts(&call.args) };
        let order = match call.order_by.is_empty() {
            true => String::new(),
            false => format!(" ORDER BY {}", self.keys(&call.order_by)),
        };
        let name = functions::quote_identifier(call.function.name);
        format!("{name}({distinct}{args}{order}){}", self.filter(call.filter.as_ref()))
    }

    fn window(&self, call: &WindowCall) -> String {
        let usual = call.frame.unit == FrameUnit::Range
            && matches!(call.frame.start, FrameBound::UnboundedPreceding)
            && matches!(call.frame.end, FrameBound::CurrentRow);
        if !usual {
            return self.give_up();
        }
        let (name, star) = match &call.function {
            WindowFunction::Aggregate(function) => (function.name, call.args.is_empty()),
            WindowFunction::Builtin(name) => (*name, false),
        };
        let args = if star { "*".to_owned() } else { self.texts(&call.args) };
        let mut parts = Vec::new();
        if !call.partition_by.is_empty() {
            parts.push(format!("PARTITION BY {}", self.texts(&call.partition_by)));
        }
        if !call.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.keys(&call.order_by)));
        }
        let name = functions::quote_identifier(name);
        format!("{name}({args}){} OVER ({})", self.filter(call.filter.as_ref()), parts.join(" "))
    }

    fn call(&self, kind: CallKind, number: usize) -> String {
        let calls = self.scope.calls.borrow();
        let found = match kind {
            CallKind::Aggregate => calls.aggregates.get(number).map(|call| self.aggregate(call)),
            CallKind::Window => calls.windows.get(number).map(|call| self.window(call)),
            CallKind::Grouping => calls.groupings.get(number).map(|args| format!("GROUPING({})", self.texts(args))),
            CallKind::Set => calls
                .sets
                .get(number)
                .map(|(name, args, _)| format!("{}({})", functions::quote_identifier(name), self.texts(args))),
        };
        found.unwrap_or_else(|| self.give_up())
    }

    fn column_of(&self, scope: &Scope<'_>, index: usize) -> String {
        let Some(column) = column(scope, index) else { return self.give_up() };
        let name = functions::quote_identifier(&column.name);
        match column.table.and_then(|at| scope.tables.get(at)) {
            Some(table) => format!("{}.{name}", functions::quote_identifier(&table.alias)),
            None => name.into_owned(),
        }
    }
}

impl Names for ScopeNames<'_, '_> {
    fn column(&self, index: usize) -> String {
        match CallKind::of(index) {
            Some((kind, number)) => self.call(kind, number),
            None => self.column_of(self.scope, index),
        }
    }

    fn outer(&self, depth: usize, index: usize) -> String {
        let mut scope = self.scope;
        for _ in 0..depth {
            match scope.parent {
                Some(parent) => scope = parent,
                None => return self.give_up(),
            }
        }
        self.column_of(scope, index)
    }
}
