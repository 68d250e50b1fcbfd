//! Installing a fetched snapshot so that a crash at any point leaves a state that can be finished.
//!
//! Once all files are durable, a mark is added that names the position. With it the directory is as good as the state: the
//! log before the position may go, and the state machine may be replaced step by step. Only when that is durable the directory
//! goes. A directory with a mark that is found when a group starts is installed again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::log::GroupId;

/// The file that makes a directory a whole snapshot: it holds the position.
pub(super) const MARK: &str = "position";

/// A snapshot that is being installed.
pub(crate) struct Installation {
    pub(crate) directory: PathBuf,
    pub(crate) position: Bytes,
}

impl Installation {
    /// Makes the directory a whole snapshot. All of its files are durable.
    pub(crate) fn begin(directory: &Path, position: Bytes) -> io::Result<Self> {
        let draft = directory.join(".mark");
        fs::write(&draft, &position)?;
        File::open(&draft)?.sync_all()?;
        fs::rename(&draft, directory.join(MARK))?;
        File::open(directory)?.sync_all()?;
        if let Some(parent) = directory.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { directory: directory.to_owned(), position })
    }

    /// The one of a group that a crash interrupted.
    pub(crate) fn interrupted(snapshots: &Path, group: GroupId) -> io::Result<Option<Self>> {
        let prefix = format!("in-{}-", group.0);
        for directory in directories(snapshots)? {
            let named = directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
            let mark = directory.join(MARK);
            if named && mark.exists() {
                let position = fs::read(mark)?.into();
                return Ok(Some(Self { directory, position }));
            }
        }
        Ok(None)
    }

    /// The state is durable.
    pub(crate) fn end(self) -> io::Result<()> {
        // Without its mark the directory is worth nothing, so that no crash in between leaves an older state to install.
        fs::remove_file(self.directory.join(MARK))?;
        File::open(&self.directory)?.sync_all()?;
        fs::remove_dir_all(&self.directory)
    }
}

/// Removes what a former process left that is worth nothing.
pub(crate) fn clean(snapshots: &Path) -> io::Result<()> {
    for directory in directories(snapshots)? {
        if !directory.join(MARK).exists() {
            fs::remove_dir_all(directory)?;
        }
    }
    Ok(())
}

fn directories(snapshots: &Path) -> io::Result<Vec<PathBuf>> {
    if !snapshots.exists() {
        return Ok(Vec::new());
    }
    fs::read_dir(snapshots)?.map(|entry| Ok(entry?.path())).collect()
}
