//! ALTER SYSTEM, and the parameters that belong to the cluster and not to a session.

use planner::plan::{AlterSystem, NodeAction};
use proto::{
    SqlError, SqlResult, SqlState,
    meta::{NodeState, SetNodeState, Setting},
};
use sharddb_planner as planner;
use sharddb_proto as proto;

use super::{
    Block, Session,
    settings::{Parameter, normalize, parameter, parameters, unrecognized},
};

/// The value of `replication_factor` that lets it follow the number of nodes.
const FOLLOWING: &str = "auto";

impl Session {
    /// Changes a setting of the cluster, or the state of a node. Nothing of it can be rolled back.
    pub(super) async fn alter_system(&mut self, change: &AlterSystem) -> SqlResult<&'static str> {
        if self.block != Block::None {
            let message = "ALTER SYSTEM cannot run inside a transaction block";
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        let allowed = self.role.superuser;
        let cluster = self.engine.client().meta().cluster();
        match change {
            AlterSystem::Set { name, value } => {
                permit(allowed, || format!("permission denied to set parameter \"{name}\""))?;
                cluster.put_setting(setting(name, value.as_deref())?).await?;
            }
            AlterSystem::ResetAll => {
                permit(allowed, || "permission denied to perform ALTER SYSTEM RESET ALL".to_owned())?;
                for parameter in parameters().iter().filter(|parameter| parameter.cluster) {
                    cluster.put_setting(Setting { name: parameter.name.to_owned(), value: None }).await?;
                }
            }
            AlterSystem::Node { node, action } => {
                permit(allowed, || format!("permission denied to change the state of node {node}"))?;
                let nodes = cluster.nodes().await?.nodes;
                if !nodes.iter().any(|report| report.node.as_ref().is_some_and(|known| known.id == *node)) {
                    let message = format!("node {node} does not exist");
                    return Err(SqlError::new(SqlState::UndefinedObject, message));
                }
                let state = match action {
                    NodeAction::Drain => NodeState::Draining,
                    NodeAction::Decommission => NodeState::Decommissioning,
                    NodeAction::Activate => NodeState::Active,
                };
                cluster.set_node_state(SetNodeState { node: *node, state: state.into() }).await?;
            }
        }
        Ok("ALTER SYSTEM")
    }

    /// The cluster settings that are set, if SHOW needs them.
    pub(super) async fn settings_to_show(&self, name: &str) -> SqlResult<Vec<Setting>> {
        if name == "all" || parameter(name).is_some_and(|parameter| parameter.cluster) {
            return Ok(self.engine.client().meta().cluster().settings().await?);
        }
        Ok(Vec::new())
    }
}

/// The stored value of a parameter of the cluster.
pub(crate) fn cluster_value(parameter: &Parameter, settings: &[Setting]) -> String {
    let set = settings.iter().find(|setting| setting.name == parameter.name);
    set.and_then(|setting| setting.value.clone()).unwrap_or_else(|| parameter.default.to_owned())
}

fn permit(allowed: bool, message: impl FnOnce() -> String) -> SqlResult<()> {
    if allowed { Ok(()) } else { Err(SqlError::new(SqlState::InsufficientPrivilege, message())) }
}

fn setting(name: &str, value: Option<&str>) -> SqlResult<Setting> {
    let parameter = parameter(name).ok_or_else(|| unrecognized(name))?;
    if !parameter.cluster {
        return Err(SqlError::unsupported(format!("ALTER SYSTEM for parameter \"{}\"", parameter.name)));
    }
    let value = value.map(|text| normalize(parameter, text)).transpose()?;
    Ok(Setting { name: parameter.name.to_owned(), value: value.filter(|value| value != FOLLOWING) })
}
