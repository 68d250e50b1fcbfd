//! The network between nodes of a cluster under test: a namespace for each node where the system permits it.
//!
//! A node's namespace hangs on a bridge by a pair of virtual interfaces; clients are in the host's namespace, so they reach a
//! node that others do not. Packets are dropped where they arrive, by a routing rule for their source: the sender is told
//! nothing, as on a real network. Everything has names of this process's own and is removed when the value is dropped.
//!
//! Without the rights for that nodes listen on loopback addresses of their own, and links cannot be cut.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use parking_lot::Mutex;

/// Addresses to try before giving up on finding an unused network.
const SUBNETS: u32 = 50;
/// Host part of the bridge's address; nodes have 1, 2, ….
const BRIDGE_HOST: u8 = 254;

static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Addresses of nodes and the links between them.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    prefix: [u8; 3],
    /// Name that everything made begins with; none on loopback.
    name: Option<String>,
    /// Directions that are cut: from, to.
    cuts: Mutex<BTreeSet<(usize, usize)>>,
}

/// Runs the command that configures interfaces.
fn ip(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {}", arguments.join(" "), said.trim())))
}

fn unused_prefix() -> io::Result<[u8; 3]> {
    for _ in 0..SUBNETS {
        let prefix = [10, rand::random_range(64..=254), rand::random_range(0..=254)];
        let [a, b, c] = prefix;
        if ip(&["-4", "route", "show", "to", "match", &format!("{a}.{b}.{c}.1")])?
            .lines()
            .all(|line| line.starts_with("default"))
        {
            return Ok(prefix);
        }
    }
    Err(io::Error::other("no unused network was found"))
}

impl Network {
    /// Namespaces if this process may make them, loopback addresses otherwise.
    pub fn create(nodes: usize) -> Self {
        Self::namespaces(nodes).unwrap_or_else(|_| Self::loopback(nodes))
    }

    /// Loopback addresses that no other cluster of this machine is likely to use.
    pub fn loopback(nodes: usize) -> Self {
        let prefix = [127, rand::random_range(1..=254), rand::random_range(1..=254)];
        Self { nodes, prefix, name: None, cuts: Mutex::default() }
    }

    /// A namespace for each node.
    pub fn namespaces(nodes: usize) -> io::Result<Self> {
        let name = format!("sdb{:x}{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        // What a failure leaves half made is removed by dropping it.
        let network = Self { nodes, prefix: unused_prefix()?, name: Some(name.clone()), cuts: Mutex::default() };
        let [a, b, c] = network.prefix;
        ip(&["link", "add", &name, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{a}.{b}.{c}.{BRIDGE_HOST}/24"), "dev", &name])?;
        ip(&["link", "set", &name, "up"])?;
        for node in 0..nodes {
            network.add_namespace(&name, node)?;
        }
        Ok(network)
    }

    fn add_namespace(&self, name: &str, node: usize) -> io::Result<()> {
        let (space, link) = (format!("{name}n{node}"), format!("{name}v{node}"));
        ip(&["netns", "add", &space])?;
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
        ip(&["link", "set", &link, "master", name])?;
        ip(&["link", "set", &link, "up"])?;
        ip(&["-n", &space, "addr", "add", &format!("{}/24", self.address(node)), "dev", "eth0"])?;
        ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        ip(&["-n", &space, "link", "set", "lo", "up"])?;
        // The rule for own addresses comes first by default, and packets for them would never meet ours.
        ip(&["-n", &space, "rule", "add", "pref", "100", "lookup", "local"])?;
        ip(&["-n", &space, "rule", "del", "pref", "0"])?;
        Ok(())
    }

    /// Whether links can be cut.
    pub fn can_cut(&self) -> bool {
        self.name.is_some()
    }

    /// Nodes there are addresses for.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// A node's address.
    pub fn address(&self, node: usize) -> IpAddr {
        let [a, b, c] = self.prefix;
        let host = u8::try_from(node + 1).expect("few nodes");
        Ipv4Addr::new(a, b, c, host).into()
    }

    /// The command that runs a program where a node is. The process is the program itself, not a parent of it.
    pub fn command(&self, node: usize, program: &Path) -> Command {
        let Some(name) = &self.name else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{name}n{node}")]).arg(program);
        command
    }

    /// Drops what one node sends to another.
    pub fn cut(&self, from: usize, to: usize) -> io::Result<()> {
        if self.cuts.lock().insert((from, to)) { self.rule("add", from, to) } else { Ok(()) }
    }

    /// Lets everything through again.
    pub fn mend(&self) -> io::Result<()> {
        let cuts = std::mem::take(&mut *self.cuts.lock());
        cuts.into_iter().try_for_each(|(from, to)| self.rule("del", from, to))
    }

    fn rule(&self, verb: &str, from: usize, to: usize) -> io::Result<()> {
        let Some(name) = &self.name else { return Err(io::Error::other("links on loopback cannot be cut")) };
        let (space, source) = (format!("{name}n{to}"), self.address(from).to_string());
        ip(&["-n", &space, "rule", verb, "pref", "10", "from", &source, "iif", "eth0", "type", "blackhole"]).map(drop)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        // What was not made cannot be removed.
        for node in 0..self.nodes {
            let _ = ip(&["netns", "del", &format!("{name}n{node}")]);
        }
        let _ = ip(&["link", "del", name]);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::ErrorKind,
        net::{SocketAddr, TcpStream},
        time::Duration,
    };

    use super::*;

    /// Nobody listens: a packet that arrives is answered by a refusal, one that is dropped by nothing.
    fn arrives(network: &Network, node: usize) -> bool {
        let address = SocketAddr::new(network.address(node), 9);
        let error = TcpStream::connect_timeout(&address, Duration::from_secs(60)).expect_err("nobody listens");
        error.kind() == ErrorKind::ConnectionRefused
    }

    #[test]
    fn loopback_addresses_differ_and_cannot_be_cut() {
        let network = Network::loopback(3);
        assert_ne!(network.address(0), network.address(1));
        assert!(!network.can_cut());
        assert!(network.cut(0, 1).is_err());
    }

    #[test]
    fn nothing_is_left_of_namespaces() {
        let Ok(network) = Network::namespaces(2) else {
            return assert!(!rustix::process::geteuid().is_root() || ip(&["netns", "add", "sdb-probe"]).is_err());
        };
        let name = network.name.clone().expect("a name");
        assert!(arrives(&network, 0) && arrives(&network, 1));
        network.cut(0, 1).expect("cut");
        let probe = |from: usize, to: usize, seconds: &str| {
            let script = format!("echo > /dev/tcp/{}/9", network.address(to));
            let mut command = network.command(from, Path::new("timeout"));
            let output = command.args([seconds, "bash", "-c", &script]).output().expect("bash runs");
            String::from_utf8_lossy(&output.stderr).contains("refused")
        };
        assert!(!probe(0, 1, "1"), "nothing arrives");
        network.mend().expect("mended");
        // The kernel asks again for an address that it did not find only after a while.
        assert!(probe(0, 1, "60"), "it arrives again");
        drop(network);
        assert!(!ip(&["netns", "list"]).expect("a list").contains(&name));
    }
}
