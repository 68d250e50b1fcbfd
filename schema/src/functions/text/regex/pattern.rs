//! Compiled patterns, their options and their cache.

use std::{
    cell::{OnceCell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use proto::{SqlError, SqlResult, SqlState};
use regex::{Regex, RegexBuilder};
use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa::{Cache, DFA},
    util::syntax,
};
use sharddb_proto as proto;

use super::{invalid, translate::translate};

/// Patterns kept compiled in a thread: PostgreSQL keeps as many.
const CACHED_MAX: usize = 32;
/// Bytes a compiled pattern may take: enough for large counted repetitions, too little to hurt.
const SIZE_MAX: usize = 16 << 20;

/// Options of a regular expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::functions) struct Flags {
    /// i: upper and lower case are alike.
    pub(in crate::functions) ignore_case: bool,
    /// n, m, p: `.` and negated brackets do not match newlines.
    pub(in crate::functions) stop_at_newline: bool,
    /// n, m, w: `^` and `$` match at line ends too.
    pub(in crate::functions) line_anchors: bool,
    /// x: white space and comments do not count.
    pub(in crate::functions) expanded: bool,
    /// q: no character is special.
    pub(in crate::functions) literal: bool,
    /// g: every match, for the functions that know it.
    pub(in crate::functions) global: bool,
}

impl Flags {
    /// No options.
    pub(in crate::functions) const NONE: Self = Self {
        ignore_case: false,
        stop_at_newline: false,
        line_anchors: false,
        expanded: false,
        literal: false,
        global: false,
    };

    /// Reads option letters.
    pub(in crate::functions) fn parse(letters: &str) -> SqlResult<Self> {
        let mut flags = Self::default();
        for letter in letters.chars() {
            if letter == 'g' {
                flags.global = true;
            } else if !flags.set(letter) {
                let message = format!("invalid regular expression option: \"{letter}\"");
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
        }
        Ok(flags)
    }

    /// Sets an option; `false` if there is none of this letter.
    pub(super) fn set(&mut self, letter: char) -> bool {
        match letter {
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'n' | 'm' => (self.stop_at_newline, self.line_anchors) = (true, true),
            'p' => (self.stop_at_newline, self.line_anchors) = (true, false),
            'w' => (self.stop_at_newline, self.line_anchors) = (false, true),
            's' => (self.stop_at_newline, self.line_anchors) = (false, false),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'b' | 'e' => {}
            _ => return false,
        }
        true
    }
}

/// Start and end of the match and of each group.
pub(in crate::functions) type Places = Vec<Option<(usize, usize)>>;

/// A compiled pattern.
#[derive(Debug)]
pub(in crate::functions) struct Pattern {
    regex: Regex,
    longest: Option<Longest>,
}

/// Finds the longest match from a place on.
#[derive(Debug)]
struct Longest {
    dfa: DFA,
    cache: RefCell<Cache>,
    source: String,
    ignore_case: bool,
    /// The pattern that must match to the end of the text, to find the groups of a longer match.
    whole: OnceCell<Option<Regex>>,
}

fn build(source: &str, ignore_case: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).case_insensitive(ignore_case).size_limit(SIZE_MAX).build()
}

impl Pattern {
    fn new(pattern: &str, flags: Flags) -> SqlResult<Self> {
        let translated = translate(pattern, flags)?;
        let ignore_case = translated.ignore_case;
        let regex = build(&translated.source, ignore_case).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => invalid("regular expression is too complex"),
            _ => invalid("invalid argument to regex function"),
        })?;
        let longest = if translated.choices { Longest::new(translated.source, ignore_case) } else { None };
        Ok(Self { regex, longest })
    }

    /// Whether there is a match anywhere.
    pub(in crate::functions) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Number of groups.
    pub(in crate::functions) fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The first match from a place on.
    pub(in crate::functions) fn find_at(&self, text: &str, start: usize) -> Option<Places> {
        if start > text.len() {
            return None;
        }
        let found = self.regex.captures_at(text, start)?;
        let places = |found: &regex::Captures<'_>| -> Places {
            found.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()
        };
        let places_found = places(&found);
        let (from, to) = places_found[0]?;
        let Some(longest) = &self.longest else { return Some(places_found) };
        match longest.end(text, from) {
            Some(end) if end > to => match longest.groups(&text[..end], from) {
                Some(groups) => Some(places(&groups)),
                None => Some(places_found),
            },
            _ => Some(places_found),
        }
    }

    /// Every match; after an empty one the search goes on a character further.
    pub(in crate::functions) fn find_all(&self, text: &str) -> Vec<Places> {
        let mut all = Vec::new();
        let mut start = 0;
        while let Some(places) = self.find_at(text, start) {
            let Some((from, to)) = places[0] else { break };
            start = if from == to { next_character(text, to) } else { to };
            all.push(places);
        }
        all
    }
}

/// The place after the character at a place; beyond the end after the last.
pub(super) fn next_character(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

impl Longest {
    fn new(source: String, ignore_case: bool) -> Option<Self> {
        let config = DFA::config().match_kind(MatchKind::All).unicode_word_boundary(true);
        let syntax = syntax::Config::new().case_insensitive(ignore_case);
        let dfa = DFA::builder().configure(config).syntax(syntax).build(&source).ok()?;
        let cache = RefCell::new(dfa.create_cache());
        Some(Self { dfa, cache, source, ignore_case, whole: OnceCell::new() })
    }

    fn end(&self, text: &str, from: usize) -> Option<usize> {
        let input = Input::new(text).range(from..).anchored(Anchored::Yes);
        let found = self.dfa.try_search_fwd(&mut self.cache.borrow_mut(), &input).ok()??;
        Some(found.offset())
    }

    /// Groups of the match that begins at a place and takes all the rest.
    fn groups<'t>(&self, text: &'t str, from: usize) -> Option<regex::Captures<'t>> {
        let whole = self.whole.get_or_init(|| build(&format!("(?:{})\\z", self.source), self.ignore_case).ok());
        whole.as_ref()?.captures_at(text, from).filter(|found| found.get(0).is_some_and(|all| all.start() == from))
    }
}

thread_local! {
    static CACHE: RefCell<VecDeque<(String, Flags, Rc<Pattern>)>> = const { RefCell::new(VecDeque::new()) };
}

/// The compiled form of a pattern: 2201B if it is none.
pub(in crate::functions) fn compile(pattern: &str, flags: Flags) -> SqlResult<Rc<Pattern>> {
    let flags = Flags { global: false, ..flags };
    CACHE.with_borrow_mut(|cache| {
        if let Some(at) = cache.iter().position(|(known, with, _)| known == pattern && *with == flags) {
            // The one asked for last stays longest.
            cache.swap(0, at);
            return Ok(cache[0].2.clone());
        }
        let compiled = Rc::new(Pattern::new(pattern, flags)?);
        cache.push_front((pattern.to_owned(), flags, compiled.clone()));
        cache.truncate(CACHED_MAX);
        Ok(compiled)
    })
}
