//! Tables for people and JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

/// Writes rows under their headings, each column as wide as its widest value.
pub(super) fn write_table(out: &mut impl Write, headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let values = rows.iter().filter_map(|row| row.get(column)).map(|value| value.chars().count());
        values.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut line = |values: &mut dyn Iterator<Item = &str>| {
        let cells = values.zip(&widths).map(|(value, width)| format!("{value:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    line(&mut headings.iter().copied())?;
    rows.iter().try_for_each(|row| line(&mut row.iter().map(String::as_str)))
}

/// Writes a value as JSON.
pub(super) fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// A number of bytes as people read it.
pub(super) fn bytes(count: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let mut out = Vec::new();
        let row = |values: [&str; 2]| values.map(str::to_owned).to_vec();
        write_table(&mut out, &["ID", "STATE"], &[row(["1", "active"]), row(["100", "gone"])]).expect("memory");
        assert_eq!(String::from_utf8(out).expect("text"), "ID   STATE\n1    active\n100  gone\n");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!([bytes(0), bytes(1023), bytes(1536), bytes(5 << 40)], ["0 B", "1023 B", "1.5 KiB", "5.0 TiB"]);
    }
}
