//! From text to plans: parsing, binding, and keeping plans for the next time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use planner::{
    BindContext, Bound,
    plan::{Field, InsertSource, Statement},
};
use proto::{SqlError, SqlResult, SqlState};
use schema::{Catalog, Oid, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Block, Parsed, Prepared, Session,
    prepared::{Plan, Shared, Source, Work},
};
use crate::{
    catalog::Snapshot,
    dml::{DeletePlan, InsertPlan, UpdatePlan},
    keyed::KeyedSelect,
    normalize,
    plan_cache::PlanKey,
};

impl Session {
    /// Prepares a statement of a simple query.
    pub async fn prepare_parsed(&mut self, parsed: &Parsed) -> SqlResult<Arc<Prepared>> {
        let tree = match &parsed.source {
            Source::Known(known) => {
                self.check_not_failed(known)?;
                return Ok(known.clone());
            }
            Source::Tree(tree) => tree,
        };
        self.check_tree_not_failed(Some(tree))?;
        if let Some(prepared) = self.prepare_normalized(&parsed.text).await {
            return Ok(prepared);
        }
        self.prepare_tree(tree.clone(), &[]).await
    }

    /// Prepares one statement (Parse message); more than one is 42601. A declared type of 0 is inferred.
    pub async fn prepare(&mut self, sql: &str, declared: &[Oid]) -> SqlResult<Arc<Prepared>> {
        if let Some(known) = self.cached(sql, declared) {
            self.check_not_failed(&known)?;
            return Ok(known);
        }
        let mut statements = planner::parse(sql)?;
        let tree = statements.pop();
        if !statements.is_empty() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        self.check_tree_not_failed(tree.as_ref())?;
        match tree {
            Some(tree) => self.prepare_tree(tree, declared).await,
            None => self.empty_statement().await,
        }
    }

    /// 25P02 in a failed block, except for what ends it.
    pub(super) fn check_tree_not_failed(&self, tree: Option<&planner::Parsed>) -> SqlResult<()> {
        if self.block != Block::Failed || tree.is_some_and(planner::Parsed::ends_transaction) {
            return Ok(());
        }
        Err(in_failed_block())
    }

    /// A cached preparation of this text that is still good.
    fn cached(&self, sql: &str, declared: &[Oid]) -> Option<Arc<Prepared>> {
        if self.txn.as_ref().is_some_and(|txn| txn.own_catalog().is_some()) {
            return None;
        }
        let key = PlanKey::new(sql, declared, self.fingerprint()?);
        let known = self.engine.plans().get(&key)?;
        self.engine.catalog().is_current(&known.shared.plan.load().snapshot).then_some(known)
    }

    /// The cached preparation of a text that differs only in integer literals.
    pub(super) fn known_up_to_literals(&self, sql: &str) -> Option<Arc<Prepared>> {
        let normalized = normalize::normalize(sql)?;
        let known = self.cached(&normalized.text, &normalized.types)?;
        Some(Arc::new(Prepared { text: sql.into(), literals: normalized.values, ..Prepared::clone(&known) }))
    }

    /// Prepares a text with its integer literals made parameters. Any trouble is left to the plain way.
    async fn prepare_normalized(&mut self, sql: &str) -> Option<Arc<Prepared>> {
        let normalized = normalize::normalize(sql)?;
        let tree = planner::parse(&normalized.text).ok()?.pop()?;
        let prepared = self.prepare_tree(tree, &normalized.types).await.ok()?;
        Some(Arc::new(Prepared { text: sql.into(), literals: normalized.values, ..Prepared::clone(&prepared) }))
    }

    pub(super) async fn prepare_tree(&mut self, tree: planner::Parsed, declared: &[Oid]) -> SqlResult<Arc<Prepared>> {
        let snapshot = self.snapshot_for(&tree).await?;
        let plan = Arc::new(self.plan(&tree, declared, snapshot)?);
        let text: Arc<str> = Arc::from(tree.text());
        let shared = Shared { tree: Some(tree), declared: declared.to_vec(), plan: ArcSwap::new(plan.clone()) };
        let prepared = Arc::new(Prepared {
            parameters: plan.parameters.iter().map(|parameter| parameter.oid).collect(),
            fields: self.announced_fields(&plan),
            text: text.clone(),
            shared: Arc::new(shared),
            literals: Vec::new(),
        });
        let dated = prepared.shared.tree.as_ref().is_some_and(|tree| tree.as_of().is_some());
        if plan.snapshot.is_stable() && is_worth_keeping(&plan.statement) && !dated {
            self.engine.plans().insert(PlanKey::new(&text, declared, plan.fingerprint), prepared.clone());
        }
        Ok(prepared)
    }

    /// Columns of EXECUTE and FETCH are those of what they name.
    fn announced_fields(&self, plan: &Plan) -> Option<Arc<[Field]>> {
        match &plan.statement {
            Statement::Execute { name, .. } => self.prepared.get(name)?.fields.clone(),
            Statement::Fetch { name, discard: false, .. } => Some(self.cursors.get(name)?.fields.clone()),
            _ => plan.fields.clone(),
        }
    }

    async fn empty_statement(&mut self) -> SqlResult<Arc<Prepared>> {
        let snapshot = self.snapshot().await?;
        let plan = Plan {
            snapshot,
            fingerprint: 0,
            statement: Statement::Nothing { tag: "" },
            parameters: Vec::new(),
            fields: None,
            work: Work::Empty,
        };
        let shared = Shared { tree: None, declared: Vec::new(), plan: ArcSwap::from_pointee(plan) };
        Ok(Arc::new(Prepared {
            parameters: Vec::new(),
            fields: None,
            text: Arc::from(""),
            shared: Arc::new(shared),
            literals: Vec::new(),
        }))
    }

    /// Binds a statement and decides how it is carried out.
    pub(super) fn plan(
        &mut self,
        tree: &planner::Parsed,
        declared: &[Oid],
        snapshot: Arc<Snapshot>,
    ) -> SqlResult<Plan> {
        let (eval, fingerprint) = self.environment(&snapshot);
        let context = BindContext { catalog: &snapshot.catalog, eval: &eval };
        let Bound { statement, parameters, fields } = planner::bind(tree, &context, declared)?;
        let work = work_of(&statement, &snapshot.catalog, &eval)?;
        Ok(Plan { fingerprint, statement, parameters, fields: fields.map(Into::into), work, snapshot })
    }

    /// The statement's plan, made anew when the catalog or the session's names have changed.
    pub(super) async fn current_plan(&mut self, prepared: &Prepared) -> SqlResult<Arc<Plan>> {
        let plan = prepared.shared.plan.load_full();
        let own_changes = self.txn.as_ref().is_some_and(|txn| txn.own_catalog().is_some());
        if !own_changes
            && self.engine.catalog().is_current(&plan.snapshot)
            && (self.fingerprint() == Some(plan.fingerprint) || matches!(plan.work, Work::Empty))
        {
            return Ok(plan);
        }
        let Some(tree) = &prepared.shared.tree else { return Ok(plan) };
        let snapshot = self.snapshot().await?;
        let plan = Arc::new(self.plan(tree, &prepared.shared.declared, snapshot)?);
        let types = |fields: &Option<Arc<[Field]>>| -> Option<Vec<Oid>> {
            fields.as_ref().map(|fields| fields.iter().map(|field| field.sql_type.oid).collect())
        };
        if types(&self.announced_fields(&plan)) != types(&prepared.fields) {
            let message = "cached plan must not change result type";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        if !own_changes && plan.snapshot.is_stable() {
            prepared.shared.plan.store(plan.clone());
        }
        Ok(plan)
    }
}

/// How a bound statement is carried out.
pub(super) fn work_of(statement: &Statement, catalog: &Catalog, eval: &EvalContext) -> SqlResult<Work> {
    if super::changing::is_changing(statement) {
        return Ok(Work::Changing);
    }
    Ok(match statement {
        Statement::Query(query) => match KeyedSelect::of(query)? {
            Some(keyed) => Work::Keyed(Box::new(keyed)),
            None => Work::Statement,
        },
        Statement::Insert(insert) => {
            let subqueries = match &insert.source {
                InsertSource::Values(rows) => rows.iter().flatten().any(planner::has_subquery),
                InsertSource::Query(_) | InsertSource::Defaults => false,
            };
            match insert.source {
                InsertSource::Query(_) => Work::Statement,
                _ if subqueries => Work::Statement,
                _ => Work::Insert(Arc::new(InsertPlan::new(insert, catalog, eval)?)),
            }
        }
        Statement::Update(update) => {
            let simple = update.from.is_none()
                && update.ctes.is_empty()
                && !update.condition.iter().any(planner::has_subquery)
                && !update.assignments.iter().any(|(_, expr)| planner::has_subquery(expr));
            match simple {
                true => Work::Update(Box::new(UpdatePlan::new(update, catalog, eval)?)),
                false => Work::Statement,
            }
        }
        Statement::Delete(delete) => {
            let simple =
                delete.using.is_none() && delete.ctes.is_empty() && !delete.condition.iter().any(planner::has_subquery);
            match simple {
                true => Work::Delete(Box::new(DeletePlan::new(delete, catalog, eval)?)),
                false => Work::Statement,
            }
        }
        _ => Work::Statement,
    })
}

fn is_worth_keeping(statement: &Statement) -> bool {
    matches!(statement, Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_))
        || matches!(statement, Statement::Begin(_) | Statement::Commit { .. } | Statement::Rollback { .. })
}

/// 25P02
pub(super) fn in_failed_block() -> SqlError {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    SqlError::new(SqlState::InFailedSqlTransaction, message)
}
