//! A connection's socket with its two buffers.
//!
//! # Invariants
//! * Output leaves only through [`Socket::poll_flush`]; whoever writes messages marks them as due when the client waits
//!   for them (Sync, Flush, end of a simple query), and they are sent before the connection waits for anything.
//! * The input buffer grows with what has arrived, never with what a length field announces.

use std::{
    future::poll_fn,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::io::poll_read_buf;

use crate::{metrics::Metrics, tls::Replay};

/// Bytes of each buffer at rest. Point statements and their answers fit; thousands of idle connections stay small.
const BUFFER_BYTES: usize = 8 << 10;
/// Least room offered to a read, and the most that a long message makes the buffer grow at once.
const READ_BYTES: std::ops::RangeInclusive<usize> = 2 << 10..=256 << 10;
/// A buffer that has grown above this is given back once it is empty.
const KEEP_BYTES: usize = 256 << 10;
/// Output above this is sent before more is made: the bound on what streaming an answer holds in memory.
pub(crate) const OUTPUT_BYTES: usize = 64 << 10;
/// Input read ahead while a statement runs. Further bytes stay in the kernel.
pub(crate) const AHEAD_BYTES: usize = 64 << 10;

/// A TCP connection, with or without TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<Replay>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

/// A stream with an input and an output buffer.
pub(crate) struct Socket {
    stream: Stream,
    /// What has arrived and was not taken yet.
    pub(crate) input: BytesMut,
    /// What was not sent yet.
    pub(crate) output: BytesMut,
    /// The client waits for the output.
    due: bool,
    metrics: &'static Metrics,
}

impl Socket {
    pub(crate) fn new(stream: Stream, metrics: &'static Metrics) -> Self {
        let (input, output) = (BytesMut::with_capacity(BUFFER_BYTES), BytesMut::with_capacity(BUFFER_BYTES));
        Self { stream, input, output, due: false, metrics }
    }

    /// Gives the stream up, for the TLS handshake.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Whether this is TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// The client waits for what is in the output buffer.
    #[inline]
    pub(crate) fn mark_due(&mut self) {
        self.due = true;
    }

    /// Makes room for a message of so many bytes in all; for a long one, as it comes in.
    fn make_room(&mut self, needs: usize) {
        if self.input.is_empty() && self.input.capacity() > KEEP_BYTES && needs < KEEP_BYTES {
            self.input = BytesMut::with_capacity(BUFFER_BYTES);
        }
        let missing = needs.saturating_sub(self.input.len());
        self.input.reserve(missing.clamp(*READ_BYTES.start(), *READ_BYTES.end()));
    }

    /// Reads once. At the end of the stream the answer is `UnexpectedEof`.
    #[inline]
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, needs: usize) -> Poll<io::Result<()>> {
        self.make_room(needs);
        match ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            count => {
                self.metrics.bytes_received.add(count as u64);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Sends what is due, without waiting for more than the socket takes now.
    #[inline]
    pub(crate) fn poll_flush_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.due { self.poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Sends everything.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let sent = match &mut self.stream {
                Stream::Plain(stream) => Pin::new(stream).poll_write(cx, &self.output),
                Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, &self.output),
            };
            let sent = ready!(sent)?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.metrics.bytes_sent.add(sent as u64);
            self.output.advance(sent);
        }
        if let Stream::Tls(stream) = &mut self.stream {
            ready!(Pin::new(stream.as_mut()).poll_flush(cx))?;
        }
        self.due = false;
        if self.output.capacity() > KEEP_BYTES {
            self.output = BytesMut::with_capacity(BUFFER_BYTES);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends everything and waits for it.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends everything, then reads once.
    pub(crate) async fn fill(&mut self, needs: usize) -> io::Result<()> {
        self.flush().await?;
        poll_fn(|cx| self.poll_fill(cx, needs)).await
    }

    /// Another handle of the socket, to look at; `None` when the process has no more of them.
    pub(crate) fn look(&self) -> Option<OwnedFd> {
        self.stream.tcp().as_fd().try_clone_to_owned().ok()
    }

    /// Ends the stream so that the client can still read what was sent. One that may have sent more than was read is
    /// listened to for a while: closing with unread input would reset the connection.
    pub(crate) async fn close(mut self, listen: bool) {
        let ended = poll_fn(|cx| match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        });
        if ended.await.is_err() || !listen {
            return;
        }
        for _ in 0..LINGER_READS {
            self.input.clear();
            if poll_fn(|cx| self.poll_fill(cx, *READ_BYTES.end())).await.is_err() {
                return;
            }
        }
    }
}

/// Reads after the end that wait for the client to close; the caller bounds the time.
const LINGER_READS: usize = 64;
