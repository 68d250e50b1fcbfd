//! Bounds of everything between nodes, each with its reason.

use std::time::Duration;

/// Oldest version of the protocol that this process speaks.
pub const VERSION_MIN: u32 = 1;
/// Newest version of the protocol that this process speaks.
pub const VERSION_MAX: u32 = 1;

/// Largest request or answer: a proposal may have 64 MiB, and its keys and frame need a little more.
pub const ENVELOPE_BYTES_MAX: usize = 72 << 20;
/// Waiting bytes of a link above which requests wait before they enter it; some milliseconds of a fast network.
pub const OUTBOX_BYTES_MAX: usize = 8 << 20;
/// Waiting bytes of a link above which messages of consensus are dropped. Above the former, so that requests cannot crowd
/// them out.
pub const OUTBOX_RAFT_BYTES_MAX: usize = 2 * OUTBOX_BYTES_MAX;
/// Bytes that leave in one message of a link, unless one envelope alone is larger. Keeps buffers small.
pub const BATCH_BYTES: usize = 256 << 10;
/// Largest message that is read from a node that has been greeted.
pub const MESSAGE_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + BATCH_BYTES + (1 << 10);
/// Largest message that is read from a stranger: greetings are short.
pub const GREETING_BYTES_MAX: usize = 16 << 10;
/// Requests above this leave in a stream of their own, so that messages of consensus do not wait behind them.
pub const BULK_BYTES: usize = 256 << 10;
/// Envelopes up to this are copied out of the message they came in: a key that is kept (of a row lock, say) then keeps its
/// own envelope in memory and not everybody's.
pub const COPY_BYTES: usize = 4 << 10;
/// Requests of one node that run here at once: more than its sessions, since each of them mostly has one.
pub const REQUESTS_MAX: usize = 20_000;
/// Bytes of rows in one message of a fragment; larger batches are cut.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Connections that have not been greeted. Nodes greet at once, so few suffice; more would only serve strangers.
pub const STRANGERS_MAX: usize = 64;
/// Connections of one node. It keeps one; the others are those whose end was not noticed yet.
pub const CONNECTIONS_PER_NODE_MAX: usize = 4;
/// Streams of a connection: the link, fragments, snapshots, large requests.
pub const STREAMS_MAX: u32 = 2_000;
/// Bytes on their way to a reader that does not read, for one stream. Back-pressure of fragments begins here.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for a whole connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// Bytes of one stream that wait in this process for the window to open.
pub const SEND_BYTES: usize = 512 << 10;

const _: () = assert!(BULK_BYTES <= BATCH_BYTES && OUTBOX_BYTES_MAX < OUTBOX_RAFT_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX > ENVELOPE_BYTES_MAX + BATCH_BYTES);

/// How long things may take. The defaults fit a data centre; tests change them.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From the first packet to the end of the greeting.
    pub connect: Duration,
    /// How long a stranger may take to greet.
    pub greeting: Duration,
    /// Silence of a node after which it is pinged.
    pub ping_after: Duration,
    /// How long it may take to answer a ping; with `ping_after` less than a second.
    pub ping_timeout: Duration,
    /// First pause after a failure to connect; doubles.
    pub backoff_min: Duration,
    /// Longest pause between attempts to connect.
    pub backoff_max: Duration,
    /// Deadline of a request that neither waits for a lock nor works through a whole shard.
    pub request: Duration,
    /// Deadline of a request that works through a whole shard.
    pub maintenance: Duration,
    /// Deadline of the part of a snapshot.
    pub snapshot: Duration,
    /// Deadline of the wish to join, which includes a replicated write.
    pub join: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            greeting: Duration::from_secs(5),
            ping_after: Duration::from_millis(300),
            ping_timeout: Duration::from_millis(600),
            backoff_min: Duration::from_millis(25),
            backoff_max: Duration::from_secs(1),
            request: Duration::from_secs(30),
            maintenance: Duration::from_secs(600),
            snapshot: Duration::from_secs(10),
            join: Duration::from_secs(20),
        }
    }
}
