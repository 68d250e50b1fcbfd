//! EXPLAIN.

use std::time::Instant;

use planner::plan::{Explain, Statement};
use proto::{SqlError, SqlResult};
use schema::{Datum, TableDescriptor, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Session,
    planning::work_of,
    prepared::{Plan, Work},
};
use crate::{
    access::Access,
    general::{self, Showing},
};

impl Session {
    pub(super) async fn explain(
        &mut self,
        plan: &Plan,
        explain: &Explain,
        eval: &EvalContext,
        params: &[Datum],
    ) -> SqlResult<Vec<String>> {
        let work = work_of(&explain.statement, &plan.snapshot.catalog, eval)?;
        let lines = match (&explain.statement, &work) {
            (_, Work::Keyed(keyed)) => {
                let mut lines = access_lines(&keyed.table, &keyed.access);
                lines.push("Path: keyed".to_owned());
                if explain.analyze {
                    self.time(plan, explain, eval, params, &mut lines).await?;
                }
                lines
            }
            (Statement::Query(query), _) => {
                let context = self.general_context().await?;
                self.transaction();
                let txn = self.txn.as_mut().expect("the transaction was begun");
                let showing = Showing { analyze: explain.analyze, verbose: explain.verbose };
                general::explain(query, params, showing, &mut txn.kv, &context).await?
            }
            (Statement::Insert(insert), _) => {
                let mut lines = vec![format!("Insert on {}", insert.table.name)];
                if explain.analyze {
                    self.time(plan, explain, eval, params, &mut lines).await?;
                }
                lines
            }
            (_, Work::Update(update)) => {
                let mut lines = vec![format!("Update on {}", update.target.table.name)];
                lines.extend(nested(access_lines(&update.target.table, &update.target.access)));
                if explain.analyze {
                    self.time(plan, explain, eval, params, &mut lines).await?;
                }
                lines
            }
            (_, Work::Delete(delete)) => {
                let mut lines = vec![format!("Delete on {}", delete.target.table.name)];
                lines.extend(nested(access_lines(&delete.target.table, &delete.target.access)));
                if explain.analyze {
                    self.time(plan, explain, eval, params, &mut lines).await?;
                }
                lines
            }
            (Statement::Update(update), _) => vec![format!("Update on {}", update.target.table.name)],
            (Statement::Delete(delete), _) => vec![format!("Delete on {}", delete.target.table.name)],
            _ => return Err(SqlError::unsupported("EXPLAIN of this statement")),
        };
        if !explain.json {
            return Ok(lines);
        }
        let plan: Vec<serde_json::Value> = lines.iter().map(|line| line.trim().into()).collect();
        let document = serde_json::json!([{ "Plan": plan }]);
        let text = serde_json::to_string_pretty(&document).map_err(|error| SqlError::internal(error.to_string()))?;
        Ok(vec![text])
    }

    /// ANALYZE: runs the statement and drops what it answers.
    async fn time(
        &mut self,
        plan: &Plan,
        explain: &Explain,
        eval: &EvalContext,
        params: &[Datum],
        lines: &mut Vec<String>,
    ) -> SqlResult<()> {
        let work = work_of(&explain.statement, &plan.snapshot.catalog, eval)?;
        let inner = Plan {
            snapshot: plan.snapshot.clone(),
            fingerprint: plan.fingerprint,
            statement: explain.statement.clone(),
            parameters: plan.parameters.clone(),
            fields: None,
            work,
        };
        let before = Instant::now();
        Box::pin(self.run_work_of(std::sync::Arc::new(inner), params.to_vec())).await?;
        lines.push(format!("Execution Time: {:.3} ms", before.elapsed().as_secs_f64() * 1000.0));
        Ok(())
    }
}

fn nested(lines: Vec<String>) -> impl Iterator<Item = String> {
    lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| if at == 0 { format!("  ->  {line}") } else { format!("        {line}") })
}

fn access_lines(table: &TableDescriptor, access: &Access) -> Vec<String> {
    let shards = match table.sharding {
        schema::Sharding::Range { shards } | schema::Sharding::Hash { shards, .. } => shards,
    };
    let index = table.index(access.index()).map_or("", |index| index.name.as_str());
    match access {
        Access::Point { .. } => {
            vec![format!("Index Scan using {index} on {}", table.name), format!("  Shards: 1 of {shards}")]
        }
        Access::Span { .. } => {
            vec![format!("Index Range Scan using {index} on {}", table.name), format!("  Shards: up to {shards}")]
        }
        Access::Full => vec![format!("Seq Scan on {}", table.name), format!("  Shards: {shards}")],
    }
}
