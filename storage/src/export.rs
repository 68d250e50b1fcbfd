//! Copying a span out of an engine into files, of a size that another engine takes without trouble.

use std::path::{Path, PathBuf};

use crate::{Cf, Engine, Result, Snapshot, Span};

/// Bytes after which a further file is begun: about what the disk engine's compactions make of their own files.
const FILE_BYTES: u64 = 64 << 20;

/// Writes what a snapshot holds of a span to new files whose names begin with `base`, for [`Engine::ingest`] of the same
/// kind of engine. No file if there is nothing.
pub fn export(engine: &dyn Engine, snapshot: &dyn Snapshot, cf: Cf, span: &Span, base: &Path) -> Result<Vec<PathBuf>> {
    let mut cursor = snapshot.cursor(cf, span)?;
    let mut files = Vec::new();
    let mut more = cursor.first()?;
    while more {
        let mut name = base.as_os_str().to_owned();
        name.push(format!(".{:04}", files.len()));
        let file = PathBuf::from(name);
        more = engine.write_table(cf, cursor.as_mut(), &file, FILE_BYTES)?;
        files.push(file);
    }
    Ok(files)
}
