//! Expressions.

use schema::{
    FormatSettings, Oid, SqlType,
    functions::{self, CastContext, Function},
};
use sharddb_schema as schema;

use super::{
    constant::{Label, constant, type_shown},
    simple::is_simple,
};
use crate::{
    bind::same::same,
    plan::{Expr, SubqueryKind},
};

/// Columns that a step of CASE is moved to the right.
const INDENT: usize = 4;

/// How what an expression reads is written.
pub(crate) trait Names {
    /// A column of the row.
    fn column(&self, index: usize) -> String;
    /// A column of an enclosing row.
    fn outer(&self, depth: usize, index: usize) -> String;
}

/// Text under construction.
pub(crate) struct Writer<'a> {
    names: &'a dyn Names,
    pretty: bool,
    format: &'a FormatSettings,
    /// How far lines are moved to the right.
    indent: usize,
    /// There was something that has no text here.
    incomplete: bool,
    out: String,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(names: &'a dyn Names, pretty: bool, format: &'a FormatSettings, indent: usize) -> Self {
        Self { names, pretty, format, indent, incomplete: false, out: String::new() }
    }

    /// The text; `None` if something in it could not be written.
    pub(crate) fn finish(self) -> Option<String> {
        (!self.incomplete).then_some(self.out)
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// An expression. With `implicit`, conversions are shown that nobody asked for.
    pub(crate) fn expr(&mut self, expr: &Expr, implicit: bool) {
        match expr {
            Expr::Column { index, .. } => {
                let name = self.names.column(*index);
                self.push(&name);
            }
            Expr::Outer { depth, index, .. } => {
                let name = self.names.outer(*depth, *index);
                self.push(&name);
            }
            Expr::Parameter { index, .. } => self.push(&format!("${}", index + 1)),
            Expr::Constant { value, sql_type } => {
                constant(value, *sql_type, Label::Needed, self.format, &mut self.out);
            }
            Expr::Call { function, args, .. } => self.call(expr, function, args),
            Expr::Cast { input, sql_type, context } => {
                if *context == CastContext::Explicit || implicit {
                    self.conversion(expr, input, *sql_type);
                } else {
                    self.operand(input, false, expr);
                }
            }
            Expr::And(args) => self.logic(expr, args, " AND "),
            Expr::Or(args) => self.logic(expr, args, " OR "),
            Expr::Not(input) if between(input).is_some() => self.not_between(expr, input),
            Expr::Not(input) => self.bracketed(|writer| {
                writer.push("NOT ");
                writer.operand(input, false, expr);
            }),
            Expr::IsNull { input, negated } => self.bracketed(|writer| {
                writer.operand(input, true, expr);
                writer.push(if *negated { " IS NOT NULL" } else { " IS NULL" });
            }),
            Expr::IsBool { input, expected, negated } => self.bracketed(|writer| {
                writer.operand(input, false, expr);
                writer.push(if *negated { " IS NOT " } else { " IS " });
                writer.push(match expected {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                });
            }),
            Expr::IsDistinct { left, right, negated, .. } => self.distinct(expr, left, right, *negated),
            Expr::Case { branches, otherwise, .. } => match null_if(branches, otherwise) {
                Some(args) => self.named("NULLIF", args),
                None => self.case(branches, otherwise),
            },
            Expr::Coalesce { args, .. } => self.named("COALESCE", args),
            Expr::InList { input, list, negated, .. } => self.in_list(expr, input, list, *negated),
            Expr::Quantified { input, array, operator, all } => {
                self.quantified(expr, input, operator, *all, |writer| writer.operand(array, true, expr));
            }
            Expr::Array { elements, sql_type } => self.array(elements, *sql_type),
            Expr::Subscript { array, indexes, .. } => self.subscript(array, indexes),
            Expr::Row(items) => self.named("ROW", items),
            Expr::Subquery { kind, query, .. } => match &query.shown {
                Some(shown) => self.subquery(kind, shown),
                None => self.incomplete = true,
            },
            Expr::Default => self.incomplete = true,
        }
    }

    /// An operand, in brackets where the pretty form needs them; the plain form has brackets around every operation.
    fn operand(&mut self, expr: &Expr, implicit: bool, parent: &Expr) {
        let brackets = self.pretty && !is_simple(expr, parent);
        self.push(if brackets { "(" } else { "" });
        self.expr(expr, implicit);
        self.push(if brackets { ")" } else { "" });
    }

    /// An operation.
    fn bracketed(&mut self, write: impl FnOnce(&mut Self)) {
        self.push(if self.pretty { "" } else { "(" });
        write(self);
        self.push(if self.pretty { "" } else { ")" });
    }

    fn list(&mut self, items: &[Expr]) {
        for (at, item) in items.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            self.expr(item, true);
        }
    }

    fn named(&mut self, name: &str, args: &[Expr]) {
        self.push(name);
        self.push("(");
        self.list(args);
        self.push(")");
    }

    fn call(&mut self, expr: &Expr, function: &Function, args: &[Expr]) {
        match (function.operator, args) {
            (Some(symbol), [left, right]) => self.bracketed(|writer| {
                writer.operand(left, true, expr);
                writer.push(&format!(" {symbol} "));
                writer.operand(right, true, expr);
            }),
            (Some(symbol), [input]) => self.bracketed(|writer| {
                writer.push(&format!("{symbol} "));
                writer.operand(input, true, expr);
            }),
            _ => match (function.name, args) {
                ("greatest" | "least", _) => self.named(&function.name.to_uppercase(), args),
                ("current_user" | "session_user" | "current_role" | "current_catalog" | "user", []) => {
                    self.push(&function.name.to_uppercase());
                }
                ("position", [text, part]) => {
                    self.push("POSITION((");
                    self.expr(part, false);
                    self.push(") IN (");
                    self.expr(text, false);
                    self.push("))");
                }
                ("btrim", [text]) => {
                    self.push("TRIM(BOTH FROM ");
                    self.expr(text, false);
                    self.push(")");
                }
                ("extract", [Expr::Constant { value, .. }, from]) => {
                    self.push("EXTRACT(");
                    let mut field = String::new();
                    schema::text::write_text(value, SqlType::new(Oid::TEXT), self.format, &mut field);
                    self.push(&field);
                    self.push(" FROM ");
                    self.expr(from, false);
                    self.push(")");
                }
                ("timezone", [zone, moment]) => {
                    self.push("(");
                    self.operand(moment, false, expr);
                    self.push(" AT TIME ZONE ");
                    self.operand(zone, false, expr);
                    self.push(")");
                }
                _ => self.named(&functions::quote_identifier(function.name), args),
            },
        }
    }

    /// `input::type`
    fn conversion(&mut self, expr: &Expr, input: &Expr, to: SqlType) {
        match input {
            // The day's own name.
            Expr::Call { function, args, .. } if to.oid == Oid::DATE && function.name == "now" && args.is_empty() => {
                return self.push("CURRENT_DATE");
            }
            Expr::Constant { value, sql_type } if sql_type.oid == to.oid && sql_type.modifier < 0 => {
                constant(value, *sql_type, Label::Never, self.format, &mut self.out);
            }
            _ => self.bracketed(|writer| writer.operand(input, false, expr)),
        }
        self.push("::");
        self.push(&type_shown(to));
    }

    fn logic(&mut self, expr: &Expr, args: &[Expr], word: &str) {
        self.bracketed(|writer| {
            for (at, arg) in args.iter().enumerate() {
                writer.push(if at > 0 { word } else { "" });
                writer.operand(arg, false, expr);
            }
        });
    }

    /// NOT BETWEEN: below or above.
    fn not_between(&mut self, expr: &Expr, input: &Expr) {
        let Some((tested, low, high)) = between(input) else { return };
        self.bracketed(|writer| {
            for (bound, symbol, word) in [(low, " < ", ""), (high, " > ", " OR ")] {
                writer.push(word);
                writer.bracketed(|writer| {
                    writer.operand(tested, true, expr);
                    writer.push(symbol);
                    writer.operand(bound, true, expr);
                });
            }
        });
    }

    fn distinct(&mut self, expr: &Expr, left: &Expr, right: &Expr, negated: bool) {
        let write = |writer: &mut Self| {
            writer.bracketed(|writer| {
                writer.operand(left, true, expr);
                writer.push(" IS DISTINCT FROM ");
                writer.operand(right, true, expr);
            });
        };
        if !negated {
            return write(self);
        }
        self.bracketed(|writer| {
            writer.push("NOT ");
            write(writer);
        });
    }

    /// A line of its own for each step.
    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: &Expr) {
        self.line("CASE");
        self.indent += INDENT;
        for (when, then) in branches {
            self.line("WHEN ");
            self.expr(when, false);
            self.push(" THEN ");
            self.expr(then, true);
        }
        self.line("ELSE ");
        self.expr(otherwise, true);
        self.indent -= INDENT;
        self.line("END");
    }

    fn line(&mut self, text: &str) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        self.push("\n");
        self.push(&" ".repeat(self.indent));
        self.push(text);
    }

    fn quantified(&mut self, expr: &Expr, input: &Expr, operator: &Function, all: bool, array: impl FnOnce(&mut Self)) {
        self.bracketed(|writer| {
            writer.operand(input, true, expr);
            let symbol = operator.operator.unwrap_or(operator.name);
            writer.push(&format!(" {symbol} {} (", if all { "ALL" } else { "ANY" }));
            array(writer);
            writer.push(")");
        });
    }

    /// IN over a list is `= ANY` over an array, NOT IN is `<> ALL`; one element is compared with.
    fn in_list(&mut self, expr: &Expr, input: &Expr, list: &[Expr], negated: bool) {
        let (symbol, word) = if negated { ("<>", "ALL") } else { ("=", "ANY") };
        self.bracketed(|writer| {
            writer.operand(input, true, expr);
            if let [only] = list {
                writer.push(&format!(" {symbol} "));
                return writer.operand(only, true, expr);
            }
            writer.push(&format!(" {symbol} {word} ("));
            match input {
                // Strings are compared as text, but written in the column's own type.
                Expr::Cast { input, sql_type, context: CastContext::Implicit }
                    if sql_type.oid == Oid::TEXT && input.sql_type().oid == Oid::VARCHAR =>
                {
                    writer.bracketed_array(list, input.sql_type().oid);
                }
                _ => {
                    writer.push("ARRAY[");
                    writer.list(list);
                    writer.push("]");
                }
            }
            writer.push(")");
        });
    }

    /// An array of constants of one type, converted to text[].
    fn bracketed_array(&mut self, list: &[Expr], element: Oid) {
        self.push(if self.pretty { "" } else { "(" });
        self.push("ARRAY[");
        for (at, item) in list.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            let bare = match item {
                Expr::Cast { input, context: CastContext::Implicit, .. } => input,
                other => other,
            };
            match bare {
                Expr::Constant { value, .. } => {
                    constant(value, SqlType::new(element), Label::Needed, self.format, &mut self.out);
                }
                other => self.expr(other, true),
            }
        }
        self.push("]");
        self.push(if self.pretty { "" } else { ")" });
        self.push("::text[]");
    }

    fn array(&mut self, elements: &[Expr], sql_type: SqlType) {
        self.push("ARRAY[");
        self.list(elements);
        self.push("]");
        if elements.is_empty() {
            self.push("::");
            self.push(&functions::format_type(sql_type));
        }
    }

    fn subquery(&mut self, kind: &SubqueryKind, shown: &str) {
        let (inputs, words) = match kind {
            SubqueryKind::Scalar => return self.push(&format!("({shown})")),
            SubqueryKind::Array => return self.push(&format!("ARRAY({shown})")),
            SubqueryKind::Exists => return self.push(&format!("(EXISTS ({shown}))")),
            SubqueryKind::Any { inputs, operators } => match operators.first().and_then(|first| first.operator) {
                Some("=") => (inputs, " IN ".to_owned()),
                symbol => (inputs, format!(" {} ANY ", symbol.unwrap_or_default())),
            },
            SubqueryKind::All { inputs, operators } => match operators.first().and_then(|first| first.operator) {
                // NOT IN
                Some("<>") => {
                    let inside = |writer: &mut Self| {
                        writer.push("(");
                        writer.inputs(inputs);
                        writer.push(&format!(" IN ({shown}))"));
                    };
                    return self.bracketed(|writer| {
                        writer.push("NOT ");
                        inside(writer);
                    });
                }
                symbol => (inputs, format!(" {} ALL ", symbol.unwrap_or_default())),
            },
        };
        self.push("(");
        self.inputs(inputs);
        self.push(&format!("{words}({shown}))"));
    }

    /// Left operands of a subquery; several are a row.
    fn inputs(&mut self, inputs: &[Expr]) {
        match inputs {
            [only] => self.expr(only, true),
            _ => {
                self.push("(");
                self.list(inputs);
                self.push(")");
            }
        }
    }

    fn subscript(&mut self, array: &Expr, indexes: &[(Option<Expr>, Option<Option<Expr>>)]) {
        let brackets = !matches!(array, Expr::Column { .. });
        self.push(if brackets { "(" } else { "" });
        self.expr(array, true);
        self.push(if brackets { ")" } else { "" });
        for (lower, upper) in indexes {
            self.push("[");
            if let Some(lower) = lower {
                self.expr(lower, false);
            }
            if let Some(upper) = upper {
                self.push(":");
                if let Some(upper) = upper {
                    self.expr(upper, false);
                }
            }
            self.push("]");
        }
    }
}

/// What BETWEEN tests and its bounds.
fn between(expr: &Expr) -> Option<(&Expr, &Expr, &Expr)> {
    let Expr::And(args) = expr else { return None };
    let [low, high] = &args[..] else { return None };
    let (tested, low) = comparison(low, ">=")?;
    let (again, high) = comparison(high, "<=")?;
    same(tested, again).then_some((tested, low, high))
}

fn comparison<'e>(expr: &'e Expr, symbol: &str) -> Option<(&'e Expr, &'e Expr)> {
    match expr {
        Expr::Call { function, args, .. } if function.operator == Some(symbol) => match &args[..] {
            [left, right] => Some((left, right)),
            _ => None,
        },
        _ => None,
    }
}

/// Arguments of NULLIF, which is a CASE in a plan.
fn null_if<'e>(branches: &'e [(Expr, Expr)], otherwise: &Expr) -> Option<&'e [Expr]> {
    let [(Expr::Call { function, args, .. }, then)] = branches else { return None };
    let equal = function.operator == Some("=") && then.is_null();
    (equal && args.first().is_some_and(|left| same(left, otherwise))).then_some(&args[..])
}
