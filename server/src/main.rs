//! The `sharddb` binary.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use sharddb_server::{Cert, ClusterCommand, Config, Demo, Flags, Instance, NodeCommand};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stack of a worker thread: planning deeply nested queries recurses.
const STACK_BYTES: usize = 8 << 20;
/// Time for tasks to end after the server has stopped.
const RUNTIME_TIME: Duration = Duration::from_secs(2);
/// Time that stopping may take besides the grace of running statements; flushing the storage is most of it.
const STOP_TIME: Duration = Duration::from_secs(60);
/// Exit status after a second signal, as a shell reports an interrupted process.
const INTERRUPTED: i32 = 130;

/// A distributed SQL database that speaks the PostgreSQL protocol.
#[derive(Debug, Parser)]
#[command(name = "sharddb", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a server
    Start(Box<Flags>),
    /// Makes certificates for the connections between nodes
    #[command(subcommand)]
    Cert(Cert),
    /// Shows nodes and changes what they do
    #[command(subcommand)]
    Node(NodeCommand),
    /// Shows how the cluster is
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Runs a cluster with sample data on this machine until Ctrl-C
    Demo(Demo),
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Start(flags) => start(*flags),
        Command::Cert(cert) => make(&cert),
        Command::Node(node) => ask(async move { Ok(node.run().await?) }),
        Command::Cluster(cluster) => ask(async move { Ok(cluster.run().await?) }),
        Command::Demo(demo) => ask(async move {
            let mut signals = Signals::new()?;
            Ok(demo.run(signals.next()).await?)
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when stderr is closed.
            let _ = writeln!(io::stderr(), "sharddb: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command on this thread.
fn ask(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // What still reads the output of a process that has ended holds nobody up.
    runtime.shutdown_background();
    outcome
}

/// Makes certificates and names the files.
fn make(cert: &Cert) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for file in cert.make()? {
        writeln!(out, "{}", file.display())?;
    }
    Ok(())
}

/// Runs the server on worker threads, and on this thread what must work even if they are all busy: signals.
fn start(flags: Flags) -> Result<(), Failure> {
    if let Some(parent) = flags.ends_with {
        sharddb_server::end_with(parent)?;
    }
    let config = Config::read(flags)?;
    start_logging(&config.log)?;
    sharddb_server::raise_file_limit();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let workers = builder.enable_all().thread_name("sharddb").thread_stack_size(STACK_BYTES).build()?;
    let lifecycle = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    let stop_time = config.stop_grace + STOP_TIME;
    let serving = workers.spawn(serve(config, stop.clone()));
    let outcome = lifecycle.block_on(supervise(serving, stop, stop_time));
    workers.shutdown_timeout(RUNTIME_TIME);
    outcome
}

/// Waits for the server to end: by itself, by a signal, at once by a second one.
async fn supervise(
    mut serving: JoinHandle<Result<(), Failure>>,
    stop: CancellationToken,
    stop_time: Duration,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    tokio::select! {
        outcome = &mut serving => return outcome?,
        () = signals.next() => stop.cancel(),
    }
    tokio::select! {
        outcome = serving => outcome?,
        () = signals.next() => {
            tracing::warn!("stopping at once");
            std::process::exit(INTERRUPTED);
        }
        () = tokio::time::sleep(stop_time) => Err("the server did not stop in time; what was acknowledged is kept".into()),
    }
}

/// Logs to stderr. A plain level does not mean the consensus library, which tells of each of its steps.
fn start_logging(rules: &str) -> Result<(), Failure> {
    let plain = !rules.contains(['=', ',']);
    let rules = if plain { format!("{rules},openraft=error") } else { rules.to_owned() };
    let filter = EnvFilter::builder().parse(&rules).map_err(|error| format!("log: {error}"))?;
    let colors = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colors).with_writer(io::stderr).init();
    Ok(())
}

/// Serves until it is told to stop or the storage fails.
async fn serve(config: Config, stop: CancellationToken) -> Result<(), Failure> {
    let data = config.data.clone();
    let instance = Instance::start(config).await?;
    say_ready(&instance, &data)?;
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = instance.failed() => Err(format!(
            "storage has failed and nothing more can be written; every acknowledged commit is kept ({}): {failure}",
            failure.sqlstate()
        )),
    };
    match &outcome {
        Ok(()) => tracing::info!("stopping"),
        Err(failure) => tracing::error!("{failure}"),
    }
    instance.stop().await;
    tracing::info!("stopped");
    Ok(outcome?)
}

/// Tells the user, and scripts that wait for the last line.
fn say_ready(instance: &Instance, data: &std::path::Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ShardDB {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  data  {}", data.display())?;
    writeln!(out, "  sql   postgresql://postgres@{}/postgres", instance.sql_addr())?;
    writeln!(out, "  rpc   {}", instance.rpc_addr())?;
    writeln!(out, "  http  http://{}", instance.http_addr())?;
    writeln!(out, "ready")?;
    out.flush()
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
