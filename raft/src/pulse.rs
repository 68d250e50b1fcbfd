//! The one task that looks after all groups of a host: asks for support and calls elections.

use std::sync::Arc;

use proto::raft::{Message, message::Body};
use sharddb_proto as proto;
use tokio::time::{Duration, Instant, sleep_until};

use crate::{
    host::{Groups, Host},
    support::HEARTBEAT,
};

/// Between two looks at all groups. A look at an idle group is a few loads.
const LOOK: Duration = Duration::from_millis(50);

/// Runs until it is aborted. Sleeps while no group has members on other nodes.
pub(crate) async fn run(host: Arc<Host>, groups: Arc<Groups>) {
    let mut next_heartbeat = Instant::now();
    loop {
        while host.support.shared().is_empty() {
            host.woken().await;
        }
        let now = Instant::now();
        if next_heartbeat <= now {
            ask_for_support(&host);
            next_heartbeat = now + HEARTBEAT;
        }
        look(&host, &groups);
        sleep_until(now + LOOK).await;
    }
}

fn ask_for_support(host: &Arc<Host>) {
    for node in host.support.shared() {
        let body = Some(Body::Heartbeat(host.support.heartbeat()));
        host.surroundings.transport.send(node, Message { group: 0, id: 0, body });
    }
}

fn look(host: &Arc<Host>, groups: &Groups) {
    let (now, returned) = (host.support.now_ns(), host.support.returned());
    for group in groups.read().values() {
        group.replica().look(now);
        for node in &returned {
            group.replica().revive(*node);
        }
    }
}
