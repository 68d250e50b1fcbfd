//! The SQL dialect given to `sqlparser`: its PostgreSQL dialect, made safe for hostile input.
//!
//! `sqlparser` tries one reading of a construct after another and goes back when one fails. Nested constructs that
//! have two readings take it a time exponential in their depth: `row(row(row(…` of thirty levels would occupy a thread
//! for days. So the expressions and queries it begins to read are counted, and may not be many more than the statement
//! has tokens. Where the parser offers no way to fail, the count ends it by unwinding, which [`bounded`] catches.
//!
//! Names of function arguments are identifiers here. Where they may be expressions, every argument is read twice, which
//! alone makes nested calls exponential.

use std::{
    any::TypeId,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use sqlparser::{
    ast::{BinaryOperator, Expr},
    dialect::{Dialect, PostgreSqlDialect, Precedence},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::Token,
};

/// Expressions and queries that the parser may begin besides [`BEGINNINGS_PER_TOKEN`].
const BEGINNINGS: usize = 20_000;
/// Readings of one token as the beginning of an expression. Real statements stay below four.
const BEGINNINGS_PER_TOKEN: usize = 12;

/// PostgreSQL's dialect with a budget for one statement.
#[derive(Debug)]
pub(super) struct Bounded {
    left: Cell<usize>,
}

/// The budget is used up.
struct Exhausted;

impl Bounded {
    /// The dialect for a statement of so many tokens.
    pub(super) fn new(tokens: usize) -> Self {
        Self { left: Cell::new(BEGINNINGS + tokens.saturating_mul(BEGINNINGS_PER_TOKEN)) }
    }

    /// Counts a beginning; false when there were too many.
    fn begin(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// Runs a parser with this dialect.
pub(super) fn bounded<T>(read: impl FnOnce() -> Result<T, ParserError>) -> Result<T, ParserError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read,
        Err(cause) if cause.is::<Exhausted>() => Err(ParserError::RecursionLimitExceeded),
        Err(panic) => resume_unwind(panic),
    }
}

const POSTGRESQL: PostgreSqlDialect = PostgreSqlDialect {};

impl Bounded {
    /// The right operand of IS DISTINCT FROM binds tighter than AND.
    fn distinct_from(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        make: fn(Box<Expr>, Box<Expr>) -> Expr,
    ) -> Result<Expr, ParserError> {
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is))?;
        Ok(make(Box::new(left.clone()), Box::new(right)))
    }

    /// BETWEEN SYMMETRIC is BETWEEN with the bounds in either order.
    fn symmetric(&self, parser: &mut Parser<'_>, left: &Expr, negated: bool) -> Result<Expr, ParserError> {
        let one = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        parser.expect_keyword(Keyword::AND)?;
        let other = parser.parse_subexpr(self.prec_value(Precedence::Between))?;
        let between = |low: &Expr, high: &Expr| Expr::Between {
            expr: Box::new(left.clone()),
            negated,
            low: Box::new(low.clone()),
            high: Box::new(high.clone()),
        };
        let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
        let both = Expr::BinaryOp { left: Box::new(between(&one, &other)), op, right: Box::new(between(&other, &one)) };
        Ok(Expr::Nested(Box::new(both)))
    }
}

/// Reads [NOT] BETWEEN SYMMETRIC if it is next, and answers whether it is negated.
fn between_symmetric(parser: &mut Parser<'_>) -> Option<bool> {
    let negated = usize::from(is_word(&parser.peek_token_ref().token, "not"));
    let between = is_word(&parser.peek_nth_token_ref(negated).token, "between");
    if !between || !is_word(&parser.peek_nth_token_ref(negated + 1).token, "symmetric") {
        return None;
    }
    (0..negated + 2).for_each(|_| parser.advance_token());
    Some(negated == 1)
}

fn is_word(token: &Token, name: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

/// The operators that cannot be chained without brackets.
fn is_comparison(token: &Token) -> bool {
    matches!(token, Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq)
}

fn compares(operator: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(operator, B::Eq | B::NotEq | B::Lt | B::Gt | B::LtEq | B::GtEq)
}

/// What is taken over as it is.
macro_rules! as_postgresql {
    ($($name:ident)*) => { $(fn $name(&self) -> bool { POSTGRESQL.$name() })* };
}

impl Dialect for Bounded {
    fn dialect(&self) -> TypeId {
        POSTGRESQL.dialect()
    }

    /// Nothing is read here: expressions are counted as they begin.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        if !self.begin() {
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        // The one recursion that the parser does not count.
        let interval = |token: &Token| matches!(token, Token::Word(word) if word.keyword == Keyword::INTERVAL);
        let endless = interval(&parser.peek_token_ref().token) && interval(&parser.peek_nth_token_ref(1).token);
        endless.then_some(Err(ParserError::RecursionLimitExceeded))
    }

    /// Asked at the beginning of every query.
    fn supports_from_first_select(&self) -> bool {
        if !self.begin() {
            // No panic: no hook runs, and `bounded` turns it into an error.
            resume_unwind(Box::new(Exhausted));
        }
        false
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        POSTGRESQL.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        POSTGRESQL.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        POSTGRESQL.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        POSTGRESQL.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        POSTGRESQL.is_reserved_for_identifier(keyword)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        POSTGRESQL.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        if is_word(&parser.peek_token_ref().token, "isnull") {
            return Some(Ok(self.prec_value(Precedence::Is)));
        }
        POSTGRESQL.get_next_precedence(parser)
    }

    /// What the parser does not know, or binds otherwise than PostgreSQL.
    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        let token = parser.peek_token_ref();
        if is_word(&token.token, "isnull") {
            parser.advance_token();
            return Some(Ok(Expr::IsNull(Box::new(left.clone()))));
        }
        if is_comparison(&token.token) && matches!(left, Expr::BinaryOp { op, .. } if compares(op)) {
            return Some(parser.expected_ref("an operand that is no comparison", token));
        }
        if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            return Some(self.distinct_from(parser, left, Expr::IsDistinctFrom));
        }
        if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            return Some(self.distinct_from(parser, left, Expr::IsNotDistinctFrom));
        }
        between_symmetric(parser).map(|negated| self.symmetric(parser, left, negated))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        POSTGRESQL.prec_value(precedence)
    }

    as_postgresql! {
        supports_unicode_string_literal
        supports_filter_during_aggregation
        supports_group_by_expr
        allow_extract_custom
        allow_extract_single_quotes
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_listen_notify
        supports_factorial_operator
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_colon_operator
        supports_empty_projections
        supports_nested_comments
        supports_string_escape_constant
        supports_numeric_literal_underscores
        supports_array_typedef_with_brackets
        supports_geometric_types
        supports_set_names
        supports_alter_column_type_using
        supports_notnull_operator
        supports_interval_options
        supports_insert_table_alias
        supports_create_table_like_parenthesized
        supports_select_wildcard_with_alias
        supports_comma_separated_trim
        supports_xml_expressions
        supports_comment_optimizer_hint
    }
}
