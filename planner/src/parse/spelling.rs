//! Spellings that `sqlparser` does not know, as ones that mean the same to it.
//!
//! Works on a statement's tokens, which keep their places, so that errors point at what was written.

use sqlparser::{
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan, Word},
};

/// The tokens in spellings that `sqlparser` reads.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 4);
    for (at, token) in tokens.iter().enumerate() {
        let previous = at.checked_sub(1).map(|before| &tokens[before]);
        let next = tokens.get(at + 1);
        if previous.is_some_and(|previous| continues(previous, token)) && append(&mut out, token) {
            continue;
        }
        match word(token) {
            // Tables have no children, so ONLY makes no difference.
            Some(word) if is(word, "only") && follows_any(previous, &["from", "update", "join", "into"]) => {}
            Some(word) if is(word, "from") && in_trim(tokens, at) => {}
            Some(word) if is(word, "table") && is_query(previous, next, at, tokens) => {
                out.extend([keyword("SELECT", Keyword::SELECT, token), at_place(Token::Mul, token)]);
                out.push(keyword("FROM", Keyword::FROM, token));
            }
            _ => out.push(token.clone()),
        }
    }
    order_identity_options(&mut out);
    out
}

/// Options of an identity column in the one order that `sqlparser` takes.
fn order_identity_options(tokens: &mut [TokenWithSpan]) {
    for at in 2..tokens.len() {
        let opens = tokens[at].token == Token::LParen
            && follows_any(Some(&tokens[at - 1]), &["identity"])
            && follows_any(Some(&tokens[at - 2]), &["as"]);
        let Some(length) = tokens[at..].iter().position(|token| token.token == Token::RParen) else { continue };
        if opens {
            let inside = &mut tokens[at + 1..at + length];
            let mut options: Vec<Vec<TokenWithSpan>> = Vec::new();
            for token in inside.iter() {
                let negated = options.last().is_some_and(|option| option.len() == 1 && rank(&option[0]) == Some(0));
                match options.last_mut() {
                    Some(option) if rank(token).is_none() || negated => option.push(token.clone()),
                    _ => options.push(vec![token.clone()]),
                }
            }
            // NO takes the place of what it negates.
            options.sort_by_key(|option| option.iter().filter_map(rank).max());
            inside.clone_from_slice(&options.concat());
        }
    }
}

/// Place of the identity option that a word begins; 0 is NO.
fn rank(token: &TokenWithSpan) -> Option<usize> {
    const ORDER: [&str; 7] = ["no", "increment", "minvalue", "maxvalue", "start", "cache", "cycle"];
    let word = word(token)?;
    ORDER.iter().position(|name| is(word, name))
}

/// Whether a string literal goes on in the next one: only a line break may be between them.
fn continues(previous: &TokenWithSpan, token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::SingleQuotedString(_))
        && matches!(previous.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
        && previous.span.end.line < token.span.start.line
}

fn append(out: &mut [TokenWithSpan], token: &TokenWithSpan) -> bool {
    let (Some(last), Token::SingleQuotedString(rest)) = (out.last_mut(), &token.token) else { return false };
    match &mut last.token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.push_str(rest),
        _ => return false,
    }
    last.span.end = token.span.end;
    true
}

/// FROM right behind LEADING, TRAILING or BOTH, which begin TRIM.
fn in_trim(tokens: &[TokenWithSpan], at: usize) -> bool {
    let before = |steps: usize| at.checked_sub(steps).map(|at| &tokens[at]);
    let opens = |token: Option<&TokenWithSpan>| token.is_some_and(|token| token.token == Token::LParen);
    follows_any(before(1), &["leading", "trailing", "both"]) && opens(before(2)) && follows_any(before(3), &["trim"])
}

/// Whether TABLE stands where a query may begin, and a name follows.
fn is_query(
    previous: Option<&TokenWithSpan>,
    next: Option<&TokenWithSpan>,
    at: usize,
    tokens: &[TokenWithSpan],
) -> bool {
    if !next.is_some_and(|next| matches!(next.token, Token::Word(_))) {
        return false;
    }
    let Some(previous) = previous else { return true };
    let begins = ["union", "all", "except", "intersect", "distinct", "as"];
    let of_insert = || at >= 3 && word(&tokens[0]).is_some_and(|word| is(word, "insert"));
    previous.token == Token::LParen || follows_any(Some(previous), &begins) || of_insert()
}

fn follows_any(token: Option<&TokenWithSpan>, names: &[&str]) -> bool {
    token.and_then(word).is_some_and(|word| names.iter().any(|name| is(word, name)))
}

fn word(token: &TokenWithSpan) -> Option<&Word> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

fn is(word: &Word, name: &str) -> bool {
    word.value.eq_ignore_ascii_case(name)
}

fn keyword(value: &str, keyword: Keyword, place: &TokenWithSpan) -> TokenWithSpan {
    at_place(Token::Word(Word { value: value.to_owned(), quote_style: None, keyword }), place)
}

fn at_place(token: Token, place: &TokenWithSpan) -> TokenWithSpan {
    TokenWithSpan::new(token, place.span)
}
