//! Window functions and their frames.

use proto::{SqlError, SqlResult, SqlState};
use schema::{Category, Oid, SqlType, functions};
use sharddb_proto as proto;
use sharddb_schema as schema;
use sqlparser::ast;

use super::{Binder, fold, scope::Scope, types::type_name};
use crate::plan::{Expr, FrameBound, FrameUnit, SortKey, WindowCall, WindowFrame, WindowFunction};

impl Binder<'_> {
    /// A call with OVER, its arguments and window bound over the select's input.
    pub(super) fn bind_window(
        &mut self,
        name: &str,
        args: &[&ast::Expr],
        star: bool,
        filter: Option<&ast::Expr>,
        over: &ast::WindowType,
        scope: &Scope<'_>,
    ) -> SqlResult<WindowCall> {
        let args = self.exprs(args.iter().copied(), scope)?;
        let args = self.named_json(name, args)?;
        let (function, args, sql_type) = self.window_function(name, args, star)?;
        if filter.is_some() && matches!(function, WindowFunction::Builtin(_)) {
            return Err(SqlError::unsupported("FILTER for non-aggregate window functions"));
        }
        let filter = filter.map(|filter| self.boolean(filter, "FILTER", scope)).transpose()?;
        let spec = self.window_spec(over, scope)?;
        let partition_by = self.exprs(&spec.partition_by, scope)?;
        let partition_by = partition_by.into_iter().map(|expr| self.known_type(expr)).collect::<SqlResult<_>>()?;
        let mut order_by = Vec::with_capacity(spec.order_by.len());
        for item in &spec.order_by {
            let expr = self.expr(&item.expr, scope)?;
            let expr = self.known_type(expr)?;
            order_by.push(self.sort_key(expr, &item.options)?);
        }
        let frame = self.frame(spec.window_frame.as_ref(), &order_by, scope)?;
        Ok(WindowCall { function, args, filter, partition_by, order_by, frame, sql_type })
    }

    fn window_function(
        &mut self,
        name: &str,
        args: Vec<Expr>,
        star: bool,
    ) -> SqlResult<(WindowFunction, Vec<Expr>, SqlType)> {
        if let Some(found) = self.builtin_window(name, &args)? {
            return Ok(found);
        }
        if !functions::is_aggregate(name) {
            let message = format!("OVER specified, but {name} is not a window function nor an aggregate function");
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        if args.is_empty() && !star && name == "count" {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let given: Vec<SqlType> = args.iter().map(Expr::sql_type).collect();
        let found = functions::resolve_aggregate(name, &given)?;
        let args = args
            .into_iter()
            .zip(&found.args)
            .map(|(arg, target)| self.coerce(arg, SqlType::new(target.oid), functions::CastContext::Implicit))
            .collect::<SqlResult<_>>()?;
        Ok((WindowFunction::Aggregate(found.function), args, found.result))
    }

    fn builtin_window(&mut self, name: &str, args: &[Expr]) -> SqlResult<Option<(WindowFunction, Vec<Expr>, SqlType)>> {
        let (builtin, result) = match (name, args.len()) {
            ("row_number", 0) => ("row_number", Oid::INT8),
            ("rank", 0) => ("rank", Oid::INT8),
            ("dense_rank", 0) => ("dense_rank", Oid::INT8),
            ("percent_rank", 0) => ("percent_rank", Oid::FLOAT8),
            ("cume_dist", 0) => ("cume_dist", Oid::FLOAT8),
            ("ntile", 1) => ("ntile", Oid::INT4),
            ("lag", 1..=3) => ("lag", Oid::ANYELEMENT),
            ("lead", 1..=3) => ("lead", Oid::ANYELEMENT),
            ("first_value", 1) => ("first_value", Oid::ANYELEMENT),
            ("last_value", 1) => ("last_value", Oid::ANYELEMENT),
            ("nth_value", 2) => ("nth_value", Oid::ANYELEMENT),
            _ => return Ok(None),
        };
        let mut args = args.to_vec();
        for arg in &mut args {
            *arg = self.known_type(std::mem::replace(arg, Expr::Default))?;
        }
        let mut result = SqlType::new(result);
        if result.oid == Oid::ANYELEMENT {
            result = args[0].sql_type();
        }
        match builtin {
            "ntile" => args[0] = self.window_argument(&args[0], Oid::INT4)?,
            "lag" | "lead" | "nth_value" if args.len() > 1 => args[1] = self.window_argument(&args[1], Oid::INT4)?,
            _ => {}
        }
        if args.len() == 3 {
            let both = vec![args[0].clone(), args[2].clone()];
            let (both, common) = self.unify(both, builtin)?;
            result = common;
            let mut both = both.into_iter();
            args[0] = both.next().unwrap_or(Expr::Default);
            args[2] = both.next().unwrap_or(Expr::Default);
        }
        Ok(Some((WindowFunction::Builtin(builtin), args, result)))
    }

    fn window_argument(&mut self, arg: &Expr, oid: Oid) -> SqlResult<Expr> {
        self.coerce(arg.clone(), SqlType::new(oid), functions::CastContext::Implicit)
    }

    /// The window of an OVER clause with what it takes over from a named one.
    fn window_spec(&self, over: &ast::WindowType, scope: &Scope<'_>) -> SqlResult<ast::WindowSpec> {
        match over {
            ast::WindowType::NamedWindow(name) => self.named_window(name, scope),
            ast::WindowType::WindowSpec(spec) => {
                let Some(base) = &spec.window_name else { return Ok(spec.clone()) };
                self.extend_window(self.named_window(base, scope)?, spec, &fold(base))
            }
        }
    }

    fn named_window(&self, name: &ast::Ident, scope: &Scope<'_>) -> SqlResult<ast::WindowSpec> {
        let folded = fold(name);
        let windows = scope.windows.borrow();
        let found = windows.iter().find(|(known, _)| *known == folded).map(|(_, spec)| spec.clone());
        found.ok_or_else(|| {
            let message = format!("window \"{folded}\" does not exist");
            self.at(name.span, SqlError::new(SqlState::UndefinedObject, message))
        })
    }

    /// A window that copies another one and adds to it.
    pub(super) fn extend_window(
        &self,
        base: ast::WindowSpec,
        spec: &ast::WindowSpec,
        name: &str,
    ) -> SqlResult<ast::WindowSpec> {
        let refuse = |what: &str| {
            Err(SqlError::new(SqlState::WindowingError, format!("cannot override {what} clause of window \"{name}\"")))
        };
        if !spec.partition_by.is_empty() {
            return refuse("PARTITION BY");
        }
        if !spec.order_by.is_empty() && !base.order_by.is_empty() {
            return refuse("ORDER BY");
        }
        if base.window_frame.is_some() {
            let message = format!("cannot copy window \"{name}\" because it has a frame clause");
            return Err(SqlError::new(SqlState::WindowingError, message));
        }
        let order_by = if base.order_by.is_empty() { spec.order_by.clone() } else { base.order_by };
        Ok(ast::WindowSpec {
            window_name: None,
            partition_by: base.partition_by,
            order_by,
            window_frame: spec.window_frame.clone(),
        })
    }

    fn frame(
        &mut self,
        frame: Option<&ast::WindowFrame>,
        order_by: &[SortKey],
        scope: &Scope<'_>,
    ) -> SqlResult<WindowFrame> {
        let Some(frame) = frame else {
            let (start, end) = (FrameBound::UnboundedPreceding, FrameBound::CurrentRow);
            return Ok(WindowFrame { unit: FrameUnit::Range, start, end });
        };
        let unit = match frame.units {
            ast::WindowFrameUnits::Rows => FrameUnit::Rows,
            ast::WindowFrameUnits::Range => FrameUnit::Range,
            ast::WindowFrameUnits::Groups => FrameUnit::Groups,
        };
        if unit == FrameUnit::Groups && order_by.is_empty() {
            return Err(SqlError::new(SqlState::WindowingError, "GROUPS mode requires an ORDER BY clause"));
        }
        let start = self.frame_bound(&frame.start_bound, unit, order_by, scope)?;
        let end = match &frame.end_bound {
            Some(end) => self.frame_bound(end, unit, order_by, scope)?,
            None => FrameBound::CurrentRow,
        };
        check_bounds(&start, &end)?;
        // A bare FOLLOWING without number reads as unbounded in the tree on both ends.
        let end = if matches!(end, FrameBound::UnboundedPreceding) { return Err(bad_end()) } else { end };
        Ok(WindowFrame { unit, start, end })
    }

    fn frame_bound(
        &mut self,
        bound: &ast::WindowFrameBound,
        unit: FrameUnit,
        order_by: &[SortKey],
        scope: &Scope<'_>,
    ) -> SqlResult<FrameBound> {
        Ok(match bound {
            ast::WindowFrameBound::CurrentRow => FrameBound::CurrentRow,
            ast::WindowFrameBound::Preceding(None) => FrameBound::UnboundedPreceding,
            ast::WindowFrameBound::Following(None) => FrameBound::UnboundedFollowing,
            ast::WindowFrameBound::Preceding(Some(offset)) => {
                FrameBound::Preceding(Box::new(self.frame_offset(offset, unit, order_by, scope)?))
            }
            ast::WindowFrameBound::Following(Some(offset)) => {
                FrameBound::Following(Box::new(self.frame_offset(offset, unit, order_by, scope)?))
            }
        })
    }

    /// Rows and groups are counted; a range's distance has a type that adds to the ORDER BY column's.
    fn frame_offset(
        &mut self,
        offset: &ast::Expr,
        unit: FrameUnit,
        order_by: &[SortKey],
        scope: &Scope<'_>,
    ) -> SqlResult<Expr> {
        let offset = self.expr(offset, scope)?;
        if unit != FrameUnit::Range {
            return self.coerce(offset, SqlType::new(Oid::INT8), functions::CastContext::Implicit);
        }
        let [key] = order_by else {
            let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
            return Err(SqlError::new(SqlState::WindowingError, message));
        };
        let key = key.expr.sql_type();
        let category = key.oid.type_info().map(|info| info.category);
        let target = match category {
            Some(Category::DateTime | Category::Timespan) => Oid::INTERVAL,
            Some(Category::Numeric) => key.oid,
            _ => {
                let message = format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                    type_name(key)
                );
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
        };
        self.coerce(offset, SqlType::new(target), functions::CastContext::Implicit)
    }
}

fn check_bounds(start: &FrameBound, end: &FrameBound) -> SqlResult<()> {
    let message = match (start, end) {
        (FrameBound::UnboundedFollowing, _) => "frame start cannot be UNBOUNDED FOLLOWING",
        (FrameBound::CurrentRow, FrameBound::Preceding(_)) => {
            "frame starting from current row cannot have preceding rows"
        }
        (FrameBound::Following(_), FrameBound::Preceding(_)) => {
            "frame starting from following row cannot have preceding rows"
        }
        (FrameBound::Following(_), FrameBound::CurrentRow) => {
            "frame starting from following row cannot end with current row"
        }
        _ => return Ok(()),
    };
    Err(SqlError::new(SqlState::WindowingError, message))
}

fn bad_end() -> SqlError {
    SqlError::new(SqlState::WindowingError, "frame end cannot be UNBOUNDED PRECEDING")
}
