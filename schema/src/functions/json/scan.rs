//! Cutting valid JSON text into pieces without parsing all of it.

/// What a piece of JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::functions) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Kind {
    /// Judged by the first character.
    pub(in crate::functions) fn of(text: &str) -> Self {
        match text.trim_start().as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    /// As json_typeof names it.
    pub(in crate::functions) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }
}

/// Walks over the text of an array or object.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    /// Past the opening bracket.
    fn inside(text: &'t str) -> Self {
        let start = text.len() - text.trim_start().len();
        Self { text, at: start + 1 }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Takes a separator if it is next.
    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// The end of the string that begins here.
    fn string_end(&self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => return at + 1,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        bytes.len()
    }

    /// The value that begins here.
    fn value(&mut self) -> &'t str {
        self.peek();
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut depth = 0;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at = self.string_end(self.at);
                    if depth == 0 {
                        break;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                b',' if depth == 0 => break,
                byte if depth == 0 && byte.is_ascii_whitespace() => break,
                _ => {}
            }
            self.at += 1;
        }
        &self.text[start..self.at]
    }
}

/// Texts of an array's elements.
pub(in crate::functions) fn elements(text: &str) -> Vec<&str> {
    let mut scanner = Scanner::inside(text);
    let mut found = Vec::new();
    while !matches!(scanner.peek(), None | Some(b']')) {
        found.push(scanner.value());
        if !scanner.accept(b',') {
            break;
        }
    }
    found
}

/// Keys and texts of an object's members, in the order of the text.
pub(in crate::functions) fn members(text: &str) -> Vec<(String, &str)> {
    let mut scanner = Scanner::inside(text);
    let mut found = Vec::new();
    while !matches!(scanner.peek(), None | Some(b'}')) {
        let key = unquote(scanner.value());
        scanner.accept(b':');
        found.push((key, scanner.value()));
        if !scanner.accept(b',') {
            break;
        }
    }
    found
}

/// The characters of a JSON string.
pub(in crate::functions) fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if !inner.contains('\\') {
        return inner.to_owned();
    }
    serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned())
}

/// A piece as text: strings without quotes, null as nothing.
pub(in crate::functions) fn as_text(piece: &str) -> Option<String> {
    match Kind::of(piece) {
        Kind::Null => None,
        Kind::String => Some(unquote(piece)),
        _ => Some(piece.to_owned()),
    }
}

/// The member of a key; the last of several.
pub(in crate::functions) fn member<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    if Kind::of(text) != Kind::Object {
        return None;
    }
    members(text).into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The element at a place; negative places count from the end.
pub(in crate::functions) fn element(text: &str, at: i32) -> Option<&str> {
    if Kind::of(text) != Kind::Array {
        return None;
    }
    let all = elements(text);
    let at = if at < 0 { all.len().checked_sub(at.unsigned_abs() as usize)? } else { at as usize };
    all.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_out_as_they_are() {
        assert_eq!(elements(" [1 , \"a,]\\\"\" ,{\"x\":[1,2]}, [ ] ]"), ["1", "\"a,]\\\"\"", "{\"x\":[1,2]}", "[ ]"]);
        assert_eq!(elements("[]"), Vec::<&str>::new());
        let found = members("{\"a\" : 1, \"b\\n\":{\"c\":2} }");
        assert_eq!(found, [("a".to_owned(), "1"), ("b\n".to_owned(), "{\"c\":2}")]);
        assert_eq!(member("{\"a\":1,\"a\":2}", "a"), Some("2"));
        assert_eq!(element("[1,2,3]", -1), Some("3"));
        assert_eq!(element("[1,2,3]", -4), None);
    }
}
