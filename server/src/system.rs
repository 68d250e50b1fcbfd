//! What the operating system knows and limits.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process have as many files and sockets as the system allows it: thousands of clients need them.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}

/// Asks for memory in small pages only. Each group of a node reserves memory for thousands of requests and uses next to
/// nothing of it; with huge pages, 200 shards took 400 MiB more. A node that stands alone is better off with huge ones:
/// its point reads were up to a fifth faster.
#[cfg(target_os = "linux")]
pub(crate) fn use_small_pages() {
    // SAFETY: the call takes numbers only and changes nothing but how later page faults are served.
    let outcome = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    if outcome != 0 {
        tracing::warn!(error = %std::io::Error::last_os_error(), "could not ask for small pages");
    }
}

/// Asks for memory in small pages only: there are no others on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn use_small_pages() {}

/// Lets the system end this process when its parent ends, however that happens.
#[cfg(target_os = "linux")]
pub fn end_with(parent: u32) -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have ended before the system was asked.
    let present = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if present.and_then(|pid| u32::try_from(pid).ok()) != Some(parent) {
        return Err(std::io::Error::other(format!("process {parent} is not the parent")));
    }
    Ok(())
}

/// Lets the system end this process when its parent ends: not on this system.
#[cfg(not(target_os = "linux"))]
pub fn end_with(_parent: u32) -> std::io::Result<()> {
    Ok(())
}

/// Free and total bytes of the disk that a directory lies on; zeros if that cannot be told.
pub(crate) fn disk(directory: &Path) -> (u64, u64) {
    rustix::fs::statvfs(directory).map_or((0, 0), |disk| (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
}

/// Name of the user who runs the process.
pub(crate) fn user_name() -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let by_id = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, user) = (fields.next()?, fields.next()?, fields.next()?);
        (user == id).then(|| name.to_owned())
    });
    by_id.or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty())
}
