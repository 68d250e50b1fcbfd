//! The session as the frontend sees it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proto::{SqlError, SqlResult, SqlState, Timestamp};
use schema::{
    FormatSettings, Oid, RoleDescriptor,
    functions::{EvalContext, ObjectNames},
};
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Block, CancelHandle, Notice, Parsed, Prepared, Transaction,
    cursors::Cursor,
    host::SessionHost,
    prepared::Source,
    settings::{Settings, parameters},
    temporary::Temporary,
};
use crate::{
    Engine,
    activity::{Activity, Entered, Identity},
    catalog::Snapshot,
    ddl::Actor,
};

/// What a client says when it connects.
#[derive(Clone, Debug, Default)]
pub struct SessionStart {
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// application_name; empty if not given.
    pub application_name: String,
    /// Further parameters of the startup message, in order.
    pub settings: Vec<(String, String)>,
    /// Process id told to the client.
    pub backend_pid: i32,
    /// Where the client is.
    pub client: Option<SocketAddr>,
    /// The connection is encrypted.
    pub encrypted: bool,
}

/// Where a session stands in its transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// In no block.
    Idle,
    /// In a block.
    InTransaction,
    /// In a block that failed and waits for ROLLBACK.
    Failed,
}

/// One client's session, owned by its connection's task.
pub struct Session {
    pub(crate) engine: Engine,
    pub(super) role: Arc<RoleDescriptor>,
    pub(super) database: Oid,
    pub(super) host: Arc<SessionHost>,
    pub(super) block: Block,
    pub(super) txn: Option<Transaction>,
    pub(super) cancel: CancelHandle,
    pub(super) notices: Vec<Notice>,
    /// Statements of PREPARE.
    pub(super) prepared: HashMap<String, Arc<Prepared>>,
    pub(super) cursors: HashMap<String, Cursor>,
    /// What the parts of a running statement see of the transaction's own writes, when they change data themselves.
    pub(super) frozen: Option<Arc<crate::general::Frozen>>,
    /// What commits do to this session's temporary tables.
    pub(super) temporary: Temporary,
    /// A copy that the client has not ended yet opened the transaction and commits it.
    pub(super) copy_commits: bool,
    pub(super) activity: Entered,
    /// A query that may be a little old reads at this timestamp at least.
    pub(super) stale_since: Timestamp,
    /// Where names were looked up before a transaction of the past.
    pub(super) present: Arc<Snapshot>,
    environment: Environment,
    /// Typed settings as the frontend asks for them.
    format: FormatSettings,
}

/// The evaluation context, kept as long as neither settings nor catalog change.
struct Environment {
    generation: u64,
    snapshot: Arc<Snapshot>,
    eval: EvalContext,
    fingerprint: u64,
}

impl Session {
    /// Starts a session. Fails when the role or database is unknown or a setting is bad; the client was authenticated
    /// before.
    pub async fn new(engine: Engine, start: SessionStart) -> SqlResult<Self> {
        let role = engine.role(&start.user).await?.ok_or_else(|| {
            let message = format!("role \"{}\" does not exist", start.user);
            SqlError::new(SqlState::InvalidAuthorizationSpecification, message)
        })?;
        let database = engine.catalog().database(&start.database).await?.ok_or_else(|| {
            SqlError::new(SqlState::InvalidCatalogName, format!("database \"{}\" does not exist", start.database))
        })?;
        let settings = initial_settings(&start, &role)?;
        let snapshot = engine.catalog().get(database.oid).await?;
        let cancel = CancelHandle::default();
        let format = settings.effective().format.clone();
        let host = Arc::new(SessionHost::new(engine.clone(), settings, snapshot.clone(), cancel.clone()));
        let eval = EvalContext {
            transaction_time: 0,
            statement_time: 0,
            time_zone: format.time_zone.clone(),
            format: format.clone(),
            user: Arc::from(start.user.as_str()),
            session_user: Arc::from(start.user.as_str()),
            database: Arc::from(start.database.as_str()),
            search_path: Arc::from([]),
            backend_pid: start.backend_pid,
            host: Some(host.weak()),
        };
        let identity = Identity {
            pid: start.backend_pid,
            database: database.oid,
            role: role.oid,
            client: start.client,
            encrypted: start.encrypted,
        };
        let activity = engine.sessions().enter(Activity::new(&identity, micros_now(), &host, cancel.clone()));
        let environment = Environment { generation: u64::MAX, snapshot, eval, fingerprint: 0 };
        let (notices, prepared, cursors) = Default::default();
        Ok(Self {
            engine,
            role,
            database: database.oid,
            host,
            block: Block::None,
            txn: None,
            cancel,
            notices,
            prepared,
            cursors,
            frozen: None,
            temporary: Temporary::default(),
            copy_commits: false,
            stale_since: Timestamp::ZERO,
            present: Arc::clone(&environment.snapshot),
            activity,
            environment,
            format,
        })
    }

    /// What this session shares with others.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where it stands in its transaction block.
    pub fn status(&self) -> TransactionStatus {
        match self.block {
            Block::None | Block::Implicit => TransactionStatus::Idle,
            Block::Explicit => TransactionStatus::InTransaction,
            Block::Failed => TransactionStatus::Failed,
        }
    }

    /// Splits a query string into statements. An empty one has none.
    pub fn parse(&mut self, sql: &str) -> SqlResult<Vec<Parsed>> {
        if let Some(known) = self.known_up_to_literals(sql) {
            return Ok(vec![Parsed { text: known.text.clone(), source: Source::Known(known) }]);
        }
        let statements = sharddb_planner::parse(sql)?;
        Ok(statements
            .into_iter()
            .map(|tree| Parsed { text: Arc::from(tree.text()), source: Source::Tree(tree) })
            .collect())
    }

    /// Begins an implicit block: what follows commits together at `end_implicit` unless a block of its own begins.
    /// Called before a query string of several statements and before the first Execute after a Sync.
    pub fn begin_implicit(&mut self) {
        if self.block == Block::None {
            self.block = Block::Implicit;
        }
    }

    /// Ends the implicit block: commits, or rolls back when a statement failed. Nothing happens inside a block that
    /// BEGIN opened.
    pub async fn end_implicit(&mut self, ok: bool) -> SqlResult<()> {
        if self.block != Block::Implicit {
            return Ok(());
        }
        self.block = Block::None;
        if ok { self.commit_transaction().await } else { self.roll_back().await }
    }

    /// A statement failed outside of `execute` (while its rows were on their way, or in the protocol): a block is
    /// failed now, an implicit one rolled back.
    pub async fn abort(&mut self) {
        self.fail().await;
        self.note_end();
    }

    /// The connection is gone: rolls back and frees everything.
    pub async fn close(&mut self) {
        self.block = Block::None;
        self.cursors.clear();
        self.prepared.clear();
        if let Err(error) = self.roll_back().await {
            tracing::debug!(%error, "could not roll back a session that ended");
        }
        if let Err(error) = self.drop_temporary(true).await {
            tracing::warn!(%error, "could not drop the temporary relations of a session that ended");
        }
    }

    /// Cancels the running statement from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Notices since the last call that `client_min_messages` lets through.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        if self.notices.is_empty() {
            return Vec::new();
        }
        let least = self.host.settings.lock().effective().min_notice;
        let mut notices = std::mem::take(&mut self.notices);
        notices.retain(|notice| {
            notice.severity == super::Severity::Info || least.is_some_and(|least| notice.severity >= least)
        });
        notices
    }

    /// Changed parameters that clients are told of (ParameterStatus).
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        let mut settings = self.host.settings.lock();
        let names = self.format.names.take();
        self.format = FormatSettings { names, ..settings.effective().format.clone() };
        settings.take_changed()
    }

    /// Every parameter that a client is told of when it connects.
    pub fn reported_parameters(&self) -> Vec<(String, String)> {
        let settings = self.host.settings.lock();
        let reported = parameters().iter().enumerate().filter(|(_, parameter)| parameter.reported());
        reported.map(|(at, parameter)| (parameter.name.to_owned(), settings.shown(at))).collect()
    }

    /// How values are printed and read.
    pub fn format(&self) -> &FormatSettings {
        &self.format
    }

    /// How long the connection may stay silent in its present state (idle_in_transaction_session_timeout,
    /// idle_session_timeout), and the error to end it with.
    pub fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        let settings = self.host.settings.lock();
        let effective = settings.effective();
        match self.block {
            Block::None | Block::Implicit => {
                let limit = effective.idle_session_timeout?;
                let message = "terminating connection due to idle-session timeout";
                Some((limit, SqlError::new(SqlState::IdleSessionTimeout, message)))
            }
            Block::Explicit | Block::Failed => {
                let limit = effective.idle_in_transaction_timeout?;
                let message = "terminating connection due to idle-in-transaction timeout";
                Some((limit, SqlError::new(SqlState::IdleInTransactionSessionTimeout, message)))
            }
        }
    }

    /// The catalog as the next statement sees it.
    pub(super) async fn snapshot(&mut self) -> SqlResult<Arc<Snapshot>> {
        let snapshot = match self.txn.as_ref().and_then(|txn| txn.own_catalog().cloned()) {
            Some(changes) => changes,
            None if self.engine.catalog().is_current(&self.environment.snapshot) => {
                return Ok(self.environment.snapshot.clone());
            }
            None => self.engine.catalog().get(self.database).await?,
        };
        self.host.snapshot.store(snapshot.clone());
        Ok(snapshot)
    }

    /// The evaluation context for a statement against a catalog, with the session's fingerprint.
    pub(super) fn environment(&mut self, snapshot: &Arc<Snapshot>) -> (EvalContext, u64) {
        let environment = &mut self.environment;
        {
            let settings = self.host.settings.lock();
            let same = environment.generation == settings.generation() && Arc::ptr_eq(&environment.snapshot, snapshot);
            if !same {
                environment.generation = settings.generation();
                environment.snapshot = snapshot.clone();
                let effective = settings.effective();
                environment.eval.time_zone = effective.format.time_zone.clone();
                environment.eval.format = effective.format.clone();
                environment.eval.search_path = existing_schemas(&effective.search_path, &environment.eval, snapshot);
                environment.eval.format.names = ObjectNames::of(&environment.eval);
                self.format = environment.eval.format.clone();
                environment.fingerprint = fingerprint(self.database, &environment.eval, snapshot);
            }
        }
        let now = micros_now();
        let mut eval = environment.eval.clone();
        eval.statement_time = now;
        eval.transaction_time = self.txn.as_ref().map_or(now, |txn| txn.started);
        (eval, environment.fingerprint)
    }

    /// The fingerprint of the last environment; good while settings and catalog are the same.
    pub(super) fn fingerprint(&self) -> Option<u64> {
        let current = self.environment.generation == self.host.settings.lock().generation()
            && self.engine.catalog().is_current(&self.environment.snapshot);
        current.then_some(self.environment.fingerprint)
    }

    /// Who runs DDL.
    pub(super) fn actor(&self, eval: &EvalContext) -> Actor {
        let settings = self.host.settings.lock();
        Actor {
            database: self.database,
            role: self.role.oid,
            superuser: self.role.superuser,
            search_path: eval.search_path.clone(),
            lock_timeout_ms: settings.effective().lock_timeout_ms,
            default_shards: settings.effective().default_shards,
            temp_schema: eval.temp_schema(),
        }
    }
}

/// Microseconds since 1970.
pub(crate) fn micros_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn initial_settings(start: &SessionStart, role: &RoleDescriptor) -> SqlResult<Settings> {
    let mut settings = Settings::new();
    settings.force("session_authorization", &start.user);
    settings.force("is_superuser", if role.superuser { "on" } else { "off" });
    if !start.application_name.is_empty() {
        settings.start_with("application_name", &start.application_name)?;
    }
    for (name, value) in &start.settings {
        settings.start_with(name, value)?;
    }
    settings.take_changed();
    Ok(settings)
}

/// Schemas of the search path that exist, in order.
fn existing_schemas(path: &[String], eval: &EvalContext, snapshot: &Snapshot) -> Arc<[String]> {
    let temporary = eval.temp_schema();
    let named = path.iter().map(|name| match name.as_str() {
        "$user" => &*eval.user,
        "pg_temp" => temporary.as_str(),
        name => name,
    });
    let mut found: Vec<String> = Vec::new();
    for name in named {
        // The schema of temporary relations is made when something is made in it.
        let exists = name == temporary || snapshot.catalog.schema(name).is_some();
        if exists && !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found.into()
}

/// A number for everything of a session that the binding of a statement depends on.
fn fingerprint(database: Oid, eval: &EvalContext, snapshot: &Snapshot) -> u64 {
    let state = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let temporary = Some(eval.temp_schema()).filter(|schema| snapshot.catalog.schema(schema).is_some());
    state.hash_one((database, &eval.user, &eval.search_path, temporary, format!("{:?}", eval.format)))
}
