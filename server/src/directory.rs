//! The data directory: made, locked against a second process, and checked to be of a known format.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// What the file FORMAT holds: the layout of the directory. Grows with every change that an older server cannot read.
const FORMAT_VERSION: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const TEMPORARY_DIRECTORY: &str = "tmp";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Files.
    #[error("could not {action} \"{}\": {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the data directory \"{}\" is in use by another sharddb process{}; stop that one first, or choose another \
         directory with --data",
        path.display(),
        process(holder)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process id of the other, as far as known.
        holder: String,
    },
    /// Not a directory of ours.
    #[error(
        "\"{}\" is not empty and not a ShardDB data directory; choose an empty or new directory with --data",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A format this program does not know.
    #[error(
        "the data directory \"{}\" has format {found:?}, this sharddb knows format {FORMAT_VERSION}; use the version \
         of sharddb that wrote it, or a newer one",
        path.display()
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// What its FORMAT file holds.
        found: String,
    },
}

fn process(holder: &str) -> String {
    if holder.is_empty() { String::new() } else { format!(" (process {holder})") }
}

/// A data directory that belongs to this process for as long as this lives.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl DataDirectory {
    /// Takes possession of a directory, which is made if there is none.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        fs::create_dir_all(path).map_err(|source| io("create the data directory", path, source))?;
        let lock = lock(path)?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// A place for temporary files, without those of earlier processes.
    pub(crate) fn temporary(&self) -> Result<PathBuf, DirectoryError> {
        let path = self.path.join(TEMPORARY_DIRECTORY);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io("empty", &path, source)),
            _ => {}
        }
        fs::create_dir(&path).map_err(|source| io("create", &path, source))?;
        Ok(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn io(action: &'static str, path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { action, path: path.to_owned(), source }
}

/// Locks the directory. The lock file stays behind: removing it would let two processes lock two files of one name.
fn lock(directory: &Path) -> Result<File, DirectoryError> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(|source| io("open the lock file", &path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            return Err(DirectoryError::InUse { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(io("lock", &path, source)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|source| io("write the lock file", &path, source))?;
    Ok(file)
}

/// Checks the FORMAT file, which an empty directory gets now.
fn check_format(directory: &Path) -> Result<(), DirectoryError> {
    let path = directory.join(FORMAT_FILE);
    match fs::read(&path) {
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).trim().to_owned();
            if found == FORMAT_VERSION.to_string() {
                return Ok(());
            }
            Err(DirectoryError::Format { path: directory.to_owned(), found })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !is_empty(directory)? {
                return Err(DirectoryError::Foreign { path: directory.to_owned() });
            }
            let content = format!("{FORMAT_VERSION}\n");
            write_whole(directory, FORMAT_FILE, &content).map_err(|source| io("write", &path, source))
        }
        Err(source) => Err(io("read", &path, source)),
    }
}

/// Whether there is nothing but what a start that was cut short left behind.
fn is_empty(directory: &Path) -> Result<bool, DirectoryError> {
    let read = |source| io("read the data directory", directory, source);
    for entry in fs::read_dir(directory).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        if name != LOCK_FILE && name != temporary(FORMAT_FILE).as_str() && name != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}

fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// Writes a file of the directory so that it is there whole or not at all, and survives a power failure.
pub(crate) fn write_whole(directory: &Path, name: &str, content: &str) -> io::Result<()> {
    let temporary = directory.join(temporary(name));
    let mut file = File::create(&temporary)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_at_a_time() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let path = parent.path().join("new");
        let first = DataDirectory::open(&path).expect("a new directory");
        let error = DataDirectory::open(&path).expect_err("it is in use");
        assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
        drop(first);
        DataDirectory::open(&path).expect("it is free again");
    }

    #[test]
    fn other_formats_and_foreign_directories_are_refused() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        for (content, known) in [("1\n", true), ("2\n", false), ("", false), ("\u{0}", false)] {
            fs::write(parent.path().join(FORMAT_FILE), content).expect("written");
            let opened = DataDirectory::open(parent.path());
            assert_eq!(opened.is_ok(), known, "{content:?}");
            assert!(known || matches!(opened, Err(DirectoryError::Format { .. })));
        }
        let foreign = tempfile::tempdir().expect("a temporary directory");
        fs::write(foreign.path().join("thesis.txt"), "mine").expect("written");
        assert!(matches!(DataDirectory::open(foreign.path()), Err(DirectoryError::Foreign { .. })));
        assert!(!foreign.path().join(FORMAT_FILE).exists());
    }
}
