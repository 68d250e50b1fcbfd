//! The CSV format: quoted fields, which may hold delimiters and line breaks.

use planner::plan::CopyOptions;
use proto::SqlResult;
use sharddb_planner as planner;
use sharddb_proto as proto;

/// How far the search for the end of a row has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scanned {
    pub(super) position: usize,
    /// Inside quotes there.
    pub(super) quoted: bool,
    /// The byte before was an escape.
    escaped: bool,
}

/// Length of the first line and of its line break, if the line is complete.
pub(super) fn line_end(buffer: &[u8], scanned: &mut Scanned, options: &CopyOptions) -> Option<(usize, usize)> {
    let Scanned { position, mut quoted, mut escaped } = *scanned;
    let separate_escape = options.escape != options.quote;
    for (at, byte) in buffer.iter().enumerate().skip(position) {
        if escaped {
            escaped = false;
        } else if quoted && separate_escape && *byte == options.escape {
            escaped = true;
        } else if *byte == options.quote {
            quoted = !quoted;
        } else if *byte == b'\n' && !quoted {
            return Some((at, 1));
        }
    }
    *scanned = Scanned { position: buffer.len(), quoted, escaped };
    None
}

/// The fields of a line; `None` is NULL. A quoted field is never NULL unless FORCE_NULL says so.
pub(super) fn fields(line: &str, options: &CopyOptions) -> SqlResult<Vec<Option<String>>> {
    let (delimiter, quote) = (char::from(options.delimiter), char::from(options.quote));
    let escape = char::from(options.escape);
    let mut fields = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        let mut value = String::new();
        let (mut was_quoted, mut inside) = (false, false);
        let mut more = false;
        while let Some(c) = chars.next() {
            if inside {
                if c == escape && chars.peek().is_some_and(|next| *next == quote || *next == escape) {
                    value.extend(chars.next());
                } else if c == quote {
                    inside = false;
                } else {
                    value.push(c);
                }
            } else if c == quote {
                (inside, was_quoted) = (true, true);
            } else if c == delimiter {
                more = true;
                break;
            } else {
                value.push(c);
            }
        }
        let column = fields.len();
        let matches = value == options.null;
        let null = match was_quoted {
            true => matches && options.force_null.contains(&column),
            false => matches && !options.force_not_null.contains(&column),
        };
        fields.push((!null).then_some(value));
        if !more {
            return Ok(fields);
        }
    }
}
