//! What sessions do, for `pg_stat_activity`.
//!
//! A session enters when it begins and leaves when it is dropped. Its task writes what it runs; any session reads it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use schema::{Oid, functions::Host};
use sharddb_schema as schema;

use crate::session::{CancelHandle, SessionHost};

/// All sessions of a process by their process ids.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    inner: Mutex<BTreeMap<i32, Arc<Activity>>>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Process id told to the client.
    pub(crate) pid: i32,
    /// Its database.
    pub(crate) database: Oid,
    /// The role that logged in.
    pub(crate) role: Oid,
    /// Where the client is.
    pub(crate) client: Option<SocketAddr>,
    /// The connection is encrypted.
    pub(crate) encrypted: bool,
    /// When it began: microseconds since 1970.
    pub(crate) began: i64,
    host: Weak<SessionHost>,
    cancel: CancelHandle,
    present: Mutex<Present>,
}

/// What a session does now, or did last. Times are microseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    /// Text of the running or last statement.
    pub(crate) query: Arc<str>,
    /// When that began; `None` before the first.
    pub(crate) query_began: Option<i64>,
    /// When it began or ended.
    pub(crate) changed: i64,
    /// Start of the open transaction.
    pub(crate) transaction_began: Option<i64>,
    /// In a block that failed.
    pub(crate) failed: bool,
}

impl Sessions {
    /// A session begins; it is here as long as the answer lives.
    pub(crate) fn enter(self: &Arc<Self>, activity: Activity) -> Entered {
        let activity = Arc::new(activity);
        self.inner.lock().insert(activity.pid, Arc::clone(&activity));
        Entered { sessions: Arc::clone(self), activity }
    }

    /// Every session, in the order of process ids.
    pub(crate) fn all(&self) -> Vec<Arc<Activity>> {
        self.inner.lock().values().cloned().collect()
    }
}

/// A session's place among the others.
pub(crate) struct Entered {
    sessions: Arc<Sessions>,
    activity: Arc<Activity>,
}

impl Entered {
    /// A statement begins.
    pub(crate) fn begin(&self, query: &Arc<str>, now: i64, transaction_began: Option<i64>) {
        let mut present = self.activity.present.lock();
        present.query = Arc::clone(query);
        present.query_began = Some(now);
        present.changed = now;
        present.transaction_began = transaction_began.or(Some(now));
    }

    /// The statement has ended, though its rows may be on their way yet.
    pub(crate) fn end(&self, now: i64, transaction_began: Option<i64>, failed: bool) {
        let mut present = self.activity.present.lock();
        present.changed = now;
        // A failed transaction is gone, but its block goes on.
        if !failed {
            present.transaction_began = transaction_began;
        }
        present.failed = failed;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut inner = self.sessions.inner.lock();
        // Somebody else may have got the same number since.
        if inner.get(&self.activity.pid).is_some_and(|known| Arc::ptr_eq(known, &self.activity)) {
            inner.remove(&self.activity.pid);
        }
    }
}

/// Who a session is.
pub(crate) struct Identity {
    pub(crate) pid: i32,
    pub(crate) database: Oid,
    pub(crate) role: Oid,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) encrypted: bool,
}

impl Activity {
    pub(crate) fn new(identity: &Identity, began: i64, host: &Arc<SessionHost>, cancel: CancelHandle) -> Self {
        let present =
            Present { query: Arc::from(""), query_began: None, changed: began, transaction_began: None, failed: false };
        Self {
            pid: identity.pid,
            database: identity.database,
            role: identity.role,
            client: identity.client,
            encrypted: identity.encrypted,
            began,
            host: Arc::downgrade(host),
            cancel,
            present: Mutex::new(present),
        }
    }

    /// What it does.
    pub(crate) fn present(&self) -> Present {
        self.present.lock().clone()
    }

    /// `state` as `pg_stat_activity` has it.
    pub(crate) fn state(&self, present: &Present) -> &'static str {
        if self.cancel.is_running() {
            return "active";
        }
        match (present.transaction_began, present.failed) {
            (None, _) => "idle",
            (Some(_), false) => "idle in transaction",
            (Some(_), true) => "idle in transaction (aborted)",
        }
    }

    /// Its `application_name`.
    pub(crate) fn application_name(&self) -> String {
        self.host.upgrade().and_then(|host| host.setting("application_name")).unwrap_or_default()
    }
}
