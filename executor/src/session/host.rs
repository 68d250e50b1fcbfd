//! What SQL functions read of the session: catalog, settings, sequences.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use proto::{SqlError, SqlResult, SqlState};
use schema::{
    Catalog, Datum, Descriptor, Oid, SequenceDescriptor, SqlType, TableDescriptor, ViewDescriptor,
    functions::{AdvisoryLock, EvalContext, Host},
};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    CancelHandle, cluster_value,
    core::micros_now,
    settings::{Settings, parameter, show_value},
};
use crate::{
    Engine,
    catalog::Snapshot,
    sequence::{OwnSequence, Position},
};

/// Shared between a session and the functions its statements call.
pub(crate) struct SessionHost {
    engine: Engine,
    pub(crate) settings: Mutex<Settings>,
    /// The catalog of the running statement.
    pub(crate) snapshot: ArcSwap<Snapshot>,
    cancel: CancelHandle,
    /// `currval` of each sequence this session has used, and which was last.
    used: Mutex<(HashMap<Oid, i64>, Option<Oid>)>,
    /// Sequences that the open transaction has made or restarted, from which nobody else takes values: their positions
    /// are written when it commits.
    pub(crate) own_sequences: Mutex<HashMap<Oid, OwnSequence>>,
}

impl std::fmt::Debug for SessionHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionHost").finish_non_exhaustive()
    }
}

impl SessionHost {
    pub(crate) fn new(engine: Engine, settings: Settings, snapshot: Arc<Snapshot>, cancel: CancelHandle) -> Self {
        let (used, own_sequences) = Default::default();
        Self { engine, settings: Mutex::new(settings), snapshot: ArcSwap::new(snapshot), cancel, used, own_sequences }
    }

    /// For the evaluation context, which the session itself holds: a cycle would keep both alive.
    pub(crate) fn weak(self: &Arc<Self>) -> Arc<dyn Host> {
        Arc::new(WeakHost(Arc::downgrade(self)))
    }

    /// DISCARD SEQUENCES.
    pub(crate) fn forget_sequences(&self) {
        *self.used.lock() = Default::default();
    }

    fn sequence(&self, oid: Oid) -> SqlResult<Arc<SequenceDescriptor>> {
        match self.snapshot.load().catalog.get(oid) {
            Some(Descriptor::Sequence(sequence)) => Ok(sequence.clone()),
            Some(Descriptor::Table(table)) => Err(not_a_sequence(&table.name)),
            Some(Descriptor::View(view)) => Err(not_a_sequence(&view.name)),
            _ => Err(SqlError::new(SqlState::UndefinedTable, format!("could not open relation with OID {oid}"))),
        }
    }

    /// Where a sequence stands.
    pub(crate) async fn position(&self, sequence: &SequenceDescriptor) -> SqlResult<Position> {
        let own = self.own_sequences.lock().get(&sequence.oid).copied();
        match own {
            Some(own) => Ok(own.position),
            None => self.engine.sequences().position(self.engine.client(), sequence).await,
        }
    }

    fn next(&self, oid: Oid) -> SqlResult<i64> {
        let sequence = self.sequence(oid)?;
        if let Some(own) = self.own_sequences.lock().get_mut(&oid) {
            let value = own.position.next(&sequence)?;
            own.position = Position { value, called: true };
            return Ok(value);
        }
        if let Some(value) = self.engine.sequences().try_next(&sequence) {
            return Ok(value);
        }
        wait(self.engine.sequences().next(self.engine.client(), &sequence))
    }
}

fn not_a_sequence(name: &str) -> SqlError {
    SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not a sequence"))
}

/// Waits for something short inside a function, which cannot await.
fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

impl Host for SessionHost {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.snapshot.load().catalog)
    }

    fn setting(&self, name: &str) -> Option<String> {
        if let Some(parameter) = parameter(name).filter(|parameter| parameter.cluster) {
            let settings = wait(self.engine.client().meta().cluster().settings()).ok()?;
            return Some(show_value(parameter, &cluster_value(parameter, &settings)));
        }
        self.settings.lock().show(name).ok().map(|(_, value)| value)
    }

    fn set_setting(&self, name: &str, value: &str, local: bool) -> SqlResult<String> {
        let mut settings = self.settings.lock();
        settings.set(name, Some(value), local)?;
        settings.show(name).map(|(_, value)| value)
    }

    fn next_value(&self, sequence: Oid) -> SqlResult<i64> {
        let value = self.next(sequence)?;
        let mut used = self.used.lock();
        used.0.insert(sequence, value);
        used.1 = Some(sequence);
        Ok(value)
    }

    fn current_value(&self, sequence: Option<Oid>) -> SqlResult<i64> {
        let used = self.used.lock();
        let Some(oid) = sequence.or(used.1) else {
            let message = "lastval is not yet defined in this session";
            return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
        };
        let name = self.sequence(oid)?.name.clone();
        used.0.get(&oid).copied().ok_or_else(|| {
            let message = format!("currval of sequence \"{name}\" is not yet defined in this session");
            SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
        })
    }

    fn set_value(&self, sequence: Oid, value: i64, called: bool) -> SqlResult<i64> {
        let descriptor = self.sequence(sequence)?;
        let position = Position { value, called };
        let own = match self.own_sequences.lock().get_mut(&sequence) {
            Some(own) => {
                own.position = position;
                true
            }
            None => false,
        };
        if !own {
            wait(self.engine.sequences().set(self.engine.client(), &descriptor, position))?;
        }
        if called {
            self.used.lock().0.insert(sequence, value);
        }
        Ok(value)
    }

    fn definition(&self, _function: &str, _args: &[Datum]) -> SqlResult<Option<String>> {
        Ok(None)
    }

    fn expression(
        &self,
        env: &EvalContext,
        table: &TableDescriptor,
        text: &str,
        expected: Option<SqlType>,
        pretty: bool,
    ) -> Option<String> {
        let context = planner::BindContext { catalog: &self.catalog(), eval: env };
        planner::show_expression(text, table, expected, pretty, &context).ok()
    }

    fn view_text(&self, env: &EvalContext, view: &ViewDescriptor, pretty: bool) -> Option<String> {
        planner::show_view(view, pretty, &planner::BindContext { catalog: &self.catalog(), eval: env }).ok()
    }

    fn signal(&self, backend_pid: i32, terminate: bool) -> bool {
        self.engine.signal(backend_pid, terminate)
    }

    fn system_relation(&self, schema: &str, name: &str) -> Option<Oid> {
        planner::system_catalog::virtual_table(schema, name).map(|table| table.oid)
    }

    fn system_relation_name(&self, oid: Oid) -> Option<(String, String)> {
        let table = planner::system_catalog::virtual_table_by_oid(oid)?;
        Some((table.schema.to_owned(), table.name.to_owned()))
    }

    fn clock_time(&self) -> Option<i64> {
        Some(micros_now())
    }

    fn process_start(&self) -> Option<i64> {
        Some(self.engine.began())
    }

    fn sleep(&self, microseconds: i64) -> SqlResult<()> {
        let micros = u64::try_from(microseconds).unwrap_or(0);
        let nap = async {
            tokio::time::sleep(Duration::from_micros(micros)).await;
            Ok(())
        };
        let timeout = self.settings.lock().effective().statement_timeout;
        wait(self.cancel.guard(timeout.map(|timeout| Instant::now() + timeout), nap))
    }
}

/// A host that does not keep its session alive.
#[derive(Debug)]
struct WeakHost(Weak<SessionHost>);

impl WeakHost {
    fn host(&self) -> SqlResult<Arc<SessionHost>> {
        self.0.upgrade().ok_or_else(|| SqlError::internal("the session has ended"))
    }
}

impl Host for WeakHost {
    fn catalog(&self) -> Arc<Catalog> {
        self.0.upgrade().map_or_else(Arc::default, |host| host.catalog())
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.0.upgrade()?.setting(name)
    }

    fn set_setting(&self, name: &str, value: &str, local: bool) -> SqlResult<String> {
        self.host()?.set_setting(name, value, local)
    }

    fn next_value(&self, sequence: Oid) -> SqlResult<i64> {
        self.host()?.next_value(sequence)
    }

    fn current_value(&self, sequence: Option<Oid>) -> SqlResult<i64> {
        self.host()?.current_value(sequence)
    }

    fn set_value(&self, sequence: Oid, value: i64, called: bool) -> SqlResult<i64> {
        self.host()?.set_value(sequence, value, called)
    }

    fn definition(&self, function: &str, args: &[Datum]) -> SqlResult<Option<String>> {
        self.host()?.definition(function, args)
    }

    fn expression(
        &self,
        env: &EvalContext,
        table: &TableDescriptor,
        text: &str,
        expected: Option<SqlType>,
        pretty: bool,
    ) -> Option<String> {
        self.0.upgrade()?.expression(env, table, text, expected, pretty)
    }

    fn view_text(&self, env: &EvalContext, view: &ViewDescriptor, pretty: bool) -> Option<String> {
        self.0.upgrade()?.view_text(env, view, pretty)
    }

    fn signal(&self, backend_pid: i32, terminate: bool) -> bool {
        self.0.upgrade().is_some_and(|host| host.signal(backend_pid, terminate))
    }

    fn system_relation(&self, schema: &str, name: &str) -> Option<Oid> {
        self.0.upgrade()?.system_relation(schema, name)
    }

    fn system_relation_name(&self, oid: Oid) -> Option<(String, String)> {
        self.0.upgrade()?.system_relation_name(oid)
    }

    fn advisory_lock(&self, lock: AdvisoryLock, transaction: bool, wait: bool) -> SqlResult<bool> {
        self.host()?.advisory_lock(lock, transaction, wait)
    }

    fn advisory_unlock(&self, lock: Option<AdvisoryLock>) -> SqlResult<bool> {
        self.host()?.advisory_unlock(lock)
    }

    fn clock_time(&self) -> Option<i64> {
        self.0.upgrade()?.clock_time()
    }

    fn process_start(&self) -> Option<i64> {
        self.0.upgrade()?.process_start()
    }

    fn sleep(&self, microseconds: i64) -> SqlResult<()> {
        self.host()?.sleep(microseconds)
    }
}
