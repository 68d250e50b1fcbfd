//! Places in a query string: from the tokenizer's line and column to byte offsets and PostgreSQL's positions.

use sqlparser::tokenizer::Location;

/// The lines of a query string.
pub(crate) struct Positions<'t> {
    text: &'t str,
    /// Byte offset at which each line starts.
    lines: Vec<usize>,
}

impl<'t> Positions<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(starts).collect() }
    }

    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// Byte offset of a location; the text's end for one beyond it.
    pub(crate) fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(0);
        let column = usize::try_from(location.column).unwrap_or(0);
        let Some(&start) = line.checked_sub(1).and_then(|line| self.lines.get(line)) else {
            return if line == 0 { 0 } else { self.text.len() };
        };
        let rest = &self.text[start..];
        let inside = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        start + inside
    }

    /// Characters before a byte offset, plus one: what the `P` field of an error counts.
    pub(crate) fn position(&self, offset: usize) -> u32 {
        let before = self.text.get(..offset).unwrap_or(self.text);
        u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX)
    }

    /// `position` of a location.
    pub(crate) fn of(&self, location: Location) -> u32 {
        self.position(self.offset(location))
    }
}
