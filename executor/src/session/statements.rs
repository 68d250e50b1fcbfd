//! Settings, prepared statements, and statements about the session itself.

use std::sync::Arc;

use planner::{BindContext, plan::Statement};
use proto::{SqlError, SqlResult, SqlState, meta::Setting};
use schema::{Datum, Oid, SqlType, functions::EvalContext};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::{
    Block, CommandTag, Outcome, RowStream, Session, cluster_value,
    control::level_name,
    settings::{parameter, parameters, show_value},
};

impl Session {
    /// SET, SHOW, RESET, DISCARD, DEALLOCATE and CLOSE; `None` for any other statement.
    pub(super) async fn run_setting(&mut self, statement: &Statement) -> SqlResult<Option<Outcome>> {
        let tag = match statement {
            Statement::Set { name, value, local } => self.set(name, value.as_deref(), *local)?,
            Statement::Show(name) => {
                let of_cluster = self.settings_to_show(name).await?;
                return self.show(name, &of_cluster).map(Some);
            }
            Statement::AlterSystem(change) => self.alter_system(change).await?,
            Statement::Reset(None) => {
                self.host.settings.lock().reset_all();
                self.settings_changed();
                "RESET"
            }
            Statement::Reset(Some(name)) => {
                self.host.settings.lock().set(name, None, false)?;
                self.settings_changed();
                "RESET"
            }
            Statement::Deallocate(None) => {
                self.prepared.clear();
                "DEALLOCATE ALL"
            }
            Statement::Deallocate(Some(name)) => {
                self.statement(name)?;
                self.drop_statement(name);
                "DEALLOCATE"
            }
            Statement::Discard(what) => self.discard(what).await?,
            Statement::CloseCursor(name) => {
                return self.close_cursor(name.as_deref()).map(|tag| Some(Outcome::Command(tag)));
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Command(CommandTag::Named(tag))))
    }

    fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> SqlResult<&'static str> {
        if local && self.block == Block::None {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.notices.push(super::Notice::warning(SqlState::NoActiveSqlTransaction, message));
            return Ok("SET");
        }
        match name {
            "transaction_isolation" => return self.set_isolation(value),
            "role" | "session_authorization" => {
                let own = value.is_none_or(|value| value == "none" || value == self.role.name);
                if !own {
                    return Err(SqlError::unsupported("taking on another role"));
                }
                return Ok("SET");
            }
            _ => {}
        }
        self.host.settings.lock().set(name, value, local)?;
        self.settings_changed();
        Ok("SET")
    }

    fn set_isolation(&mut self, value: Option<&str>) -> SqlResult<&'static str> {
        let mode = planner::plan::TransactionMode {
            isolation: value.map(|value| super::settings::isolation(&value.to_lowercase())),
            ..Default::default()
        };
        if let (Some(txn), Block::Explicit) = (&mut self.txn, self.block) {
            txn.set_mode(mode)?;
        }
        Ok("SET")
    }

    /// Outside of a block a setting lasts at once.
    fn settings_changed(&mut self) {
        if self.block == Block::None && self.txn.is_none() {
            self.host.settings.lock().commit();
        }
    }

    fn show(&self, name: &str, of_cluster: &[Setting]) -> SqlResult<Outcome> {
        let text = |name: &str| planner::plan::Field {
            name: name.to_owned(),
            sql_type: SqlType::new(Oid::TEXT),
            origin: (0, 0),
        };
        let settings = self.host.settings.lock();
        if name == "all" {
            let fields: Arc<[_]> = ["name", "setting", "description"].map(text).into();
            let visible = parameters().iter().enumerate().filter(|(_, parameter)| !parameter.hidden);
            let rows: Vec<Vec<Datum>> = visible
                .map(|(at, parameter)| {
                    let value = match parameter.cluster {
                        true => show_value(parameter, &cluster_value(parameter, of_cluster)),
                        false => settings.shown(at),
                    };
                    vec![Datum::text(parameter.name), Datum::text(value), Datum::text("")]
                })
                .collect();
            return Ok(Outcome::Rows { fields, rows: RowStream::ready(rows, CommandTag::Named("SHOW")) });
        }
        let cluster = parameter(name).filter(|parameter| parameter.cluster);
        let (name, value) = match (name, &self.txn) {
            _ if cluster.is_some() => {
                let shown = |parameter| show_value(parameter, &cluster_value(parameter, of_cluster));
                (name.to_owned(), cluster.map_or_else(String::new, shown))
            }
            ("transaction_isolation", Some(txn)) => (name.to_owned(), level_name(txn.mode.isolation).to_owned()),
            ("transaction_read_only", Some(txn)) => {
                (name.to_owned(), if txn.mode.read_only { "on" } else { "off" }.to_owned())
            }
            ("transaction_isolation", None) => (name.to_owned(), settings.show("default_transaction_isolation")?.1),
            ("transaction_read_only", None) => (name.to_owned(), settings.show("default_transaction_read_only")?.1),
            _ => settings.show(name)?,
        };
        let rows = RowStream::ready(vec![vec![Datum::text(value)]], CommandTag::Named("SHOW"));
        Ok(Outcome::Rows { fields: Arc::from([text(&name)]), rows })
    }

    async fn discard(&mut self, what: &str) -> SqlResult<&'static str> {
        match what {
            "ALL" => {
                if self.block != Block::None {
                    let message = "DISCARD ALL cannot run inside a transaction block";
                    return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
                }
                self.prepared.clear();
                self.cursors.clear();
                self.host.settings.lock().reset_all();
                self.settings_changed();
                self.host.forget_sequences();
                self.drop_temporary(false).await?;
                Ok("DISCARD ALL")
            }
            "SEQUENCES" => {
                self.host.forget_sequences();
                Ok("DISCARD SEQUENCES")
            }
            "PLANS" => Ok("DISCARD PLANS"),
            _ => {
                self.drop_temporary(false).await?;
                Ok("DISCARD TEMP")
            }
        }
    }

    /// PREPARE.
    pub(super) async fn prepare_named(
        &mut self,
        name: &str,
        parameters: &[SqlType],
        statement: &str,
    ) -> SqlResult<CommandTag> {
        self.check_statement_name(name)?;
        let declared: Vec<Oid> = parameters.iter().map(|parameter| parameter.oid).collect();
        let tree = planner::parse(statement)?
            .pop()
            .ok_or_else(|| SqlError::new(SqlState::SyntaxError, "syntax error at end of input"))?;
        let prepared = self.prepare_tree(tree, &declared).await?;
        let preparable = matches!(
            prepared.shared.plan.load().statement,
            Statement::Query(_)
                | Statement::Insert(_)
                | Statement::Update(_)
                | Statement::Delete(_)
                | Statement::WithChanges(_)
        );
        if !preparable {
            return Err(SqlError::new(SqlState::SyntaxError, "utility statements cannot be prepared"));
        }
        self.keep_statement(name, prepared);
        Ok(CommandTag::Named("PREPARE"))
    }

    /// EXECUTE.
    pub(super) async fn execute_named(
        &mut self,
        name: &str,
        texts: &[String],
        eval: &EvalContext,
    ) -> SqlResult<Outcome> {
        let prepared = Arc::clone(self.statement(name)?);
        if texts.len() != prepared.parameters.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", prepared.parameters.len(), texts.len());
            return Err(SqlError::new(SqlState::SyntaxError, message).with_detail(detail));
        }
        let snapshot = self.snapshot().await?;
        let context = BindContext { catalog: &snapshot.catalog, eval };
        let mut params = Vec::with_capacity(texts.len());
        for (text, oid) in texts.iter().zip(&prepared.parameters) {
            let expr = planner::bind_constant_expression(text, SqlType::new(*oid), &context)?;
            params.push(planner::eval(&expr, &[], &[], eval)?);
        }
        let plan = self.current_plan(&prepared).await?;
        Box::pin(self.run_work_of(plan, params)).await
    }
}
