//! What commands do to the state. Pure: the same state and command give the same state everywhere.

use std::sync::Arc;

use proto::meta::{Bootstrap, Command, Node, NodeState, PutReplication, SetNodeState, Setting, command};
use sharddb_proto as proto;

use crate::{
    placement::factor::{REPLICATION_FACTOR, cluster_factor, counts, parse},
    ranges::RangeTable,
    state::{Counter, State},
};

/// Longest name of a setting.
const SETTING_NAME_BYTES_MAX: usize = 256;
/// Longest value of a setting. The state is in memory everywhere.
const SETTING_VALUE_BYTES_MAX: usize = 64 << 10;

/// Carries out the command at `index` of the log and answers its number; a refused one says why and changes nothing.
pub(crate) fn change(state: &mut State, index: u64, command: Command) -> Result<u64, String> {
    let Some(body) = command.body else { return Err("an unknown command".to_owned()) };
    match body {
        command::Body::ExtendWindow(window) => raise(state, Counter::Window, window),
        command::Body::RaiseSafePoint(ts) => raise(state, Counter::SafePoint, ts),
        command::Body::BumpCatalog(_) => take(state, Counter::CatalogVersion, 1).map(|before| before + 1),
        command::Body::AllocateShards(count) => take(state, Counter::NextShard, count),
        command::Body::AllocateObjectIds(count) => take(state, Counter::NextObjectId, count),
        command::Body::PutRanges(put) => {
            state.ranges.put(put.ranges, index)?;
            state[Counter::RangesVersion] = state.ranges.version();
            Ok(0)
        }
        command::Body::PutReplication(put) => put_replication(state, index, &put),
        command::Body::PutSetting(setting) => put_setting(state, index, setting),
        command::Body::PutNode(node) => put_node(state, index, node),
        command::Body::Join(node) => join(state, index, node),
        command::Body::SetNodeState(set) => set_node_state(state, index, set),
        command::Body::Bootstrap(bootstrap) => begin(state, index, bootstrap),
    }
}

fn raise(state: &mut State, counter: Counter, to: u64) -> Result<u64, String> {
    state[counter] = state[counter].max(to);
    Ok(0)
}

fn take(state: &mut State, counter: Counter, count: u64) -> Result<u64, String> {
    let first = state[counter];
    state[counter] = first.checked_add(count).ok_or("there are not that many identifiers left")?;
    Ok(first)
}

fn begin(state: &mut State, index: u64, bootstrap: Bootstrap) -> Result<u64, String> {
    if !state.cluster_id.is_empty() {
        return Err("the cluster exists already".to_owned());
    }
    state.cluster_id = bootstrap.cluster_id.into();
    if let Some(node) = bootstrap.node {
        insert_node(state, index, node);
    }
    state[Counter::NextShard] = bootstrap.ranges.iter().map(|range| range.shard).max().unwrap_or(0) + 1;
    state[Counter::RangesVersion] = index;
    let brought = bootstrap.ranges.into_iter().map(|range| proto::meta::RangeDescriptor { version: index, ..range });
    state.ranges = RangeTable::restore(brought, index);
    Ok(0)
}

fn put_setting(state: &mut State, index: u64, setting: Setting) -> Result<u64, String> {
    let value_bytes = setting.value.as_ref().map_or(0, String::len);
    if setting.name.len() > SETTING_NAME_BYTES_MAX || value_bytes > SETTING_VALUE_BYTES_MAX {
        return Err("a cluster setting is too long".to_owned());
    }
    if let (REPLICATION_FACTOR, Some(value)) = (&setting.name[..], &setting.value) {
        enough(parse(value)?, state.members())?;
    }
    if state.settings.get(&setting.name) == setting.value.as_ref() {
        return Ok(0);
    }
    let settings = Arc::make_mut(&mut state.settings);
    match setting.value {
        Some(value) => settings.insert(setting.name, value),
        None => settings.remove(&setting.name),
    };
    state[Counter::SettingsVersion] = index;
    Ok(0)
}

fn put_replication(state: &mut State, index: u64, put: &PutReplication) -> Result<u64, String> {
    if put.replication_factor != 0 {
        enough(parse(&put.replication_factor.to_string())?, state.members())?;
    }
    state.ranges.put_replication(&put.start, &put.end, put.replication_factor, index);
    state[Counter::RangesVersion] = state.ranges.version();
    Ok(0)
}

fn enough(factor: u32, members: usize) -> Result<(), String> {
    let enough = members >= factor as usize;
    let reason = || format!("a replication factor of {factor} needs {factor} nodes, and the cluster has {members}");
    enough.then_some(()).ok_or_else(reason)
}

fn insert_node(state: &mut State, index: u64, node: Node) {
    state[Counter::NextNode] = state[Counter::NextNode].max(node.id + 1);
    Arc::make_mut(&mut state.nodes).insert(node.id, node);
    state[Counter::NodesVersion] = index;
}

/// Takes over a node's addresses. Its state is changed by commands of its own.
fn put_node(state: &mut State, index: u64, mut node: Node) -> Result<u64, String> {
    if let Some(known) = state.nodes.get(&node.id) {
        if node.store.is_empty() {
            node.store.clone_from(&known.store);
        }
        if !known.store.is_empty() && known.store != node.store {
            return Err(format!("node {} is another one, with another data directory", node.id));
        }
        node.state = known.state;
        if *known == node {
            return Ok(0);
        }
    }
    insert_node(state, index, node);
    Ok(0)
}

fn join(state: &mut State, index: u64, mut node: Node) -> Result<u64, String> {
    if state.cluster_id.is_empty() {
        return Err("the cluster is not set up yet".to_owned());
    }
    if node.store.is_empty() {
        return Err("a node without a data directory cannot join".to_owned());
    }
    if let Some(known) = state.node_of_store(&node.store) {
        if known.state() == NodeState::Gone {
            return Err(format!("node {} was decommissioned; start with an empty data directory", known.id));
        }
        node.id = known.id;
        return put_node(state, index, node.clone()).map(|_| node.id);
    }
    node.id = state[Counter::NextNode];
    node.set_state(NodeState::Active);
    let id = node.id;
    insert_node(state, index, node);
    Ok(id)
}

fn set_node_state(state: &mut State, index: u64, set: SetNodeState) -> Result<u64, String> {
    let id = set.node;
    let known = state.nodes.get(&id).ok_or_else(|| format!("there is no node {id}"))?;
    let wanted = NodeState::try_from(set.state).map_err(|_| "an unknown node state")?;
    if known.state() == wanted {
        return Ok(0);
    }
    if known.state() == NodeState::Gone {
        return Err(format!("node {id} was decommissioned"));
    }
    if counts(known.state()) && !counts(wanted) {
        let factors = state.ranges.iter().map(|range| range.replication_factor);
        let setting = state.settings.get(REPLICATION_FACTOR).map(String::as_str);
        let factor = factors.max().unwrap_or(0).max(cluster_factor(setting, state.members()));
        enough(factor, state.members() - 1)
            .map_err(|_| format!("without node {id} there are too few nodes for a replication factor of {factor}"))?;
    }
    let hosts = |range: &proto::meta::RangeDescriptor| range.replicas.contains(&id) || range.learners.contains(&id);
    if wanted == NodeState::Gone && state.ranges.iter().any(|range| hosts(range)) {
        return Err(format!("node {id} still has replicas"));
    }
    let mut node = known.clone();
    node.set_state(wanted);
    insert_node(state, index, node);
    Ok(0)
}

#[cfg(test)]
mod tests;
