//! Rows of fragments on the network: an Arrow IPC stream, cut into messages.
//!
//! The serving end runs the fragment no faster than its messages leave, which HTTP/2's flow control ties to the reader. What
//! belongs to a batch comes with its last message; the decoder may only see the batch when the next one begins.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use arrow::{
    buffer::Buffer,
    ipc::{reader::StreamDecoder, writer::StreamWriter},
};
use bytes::Bytes;
use fragment::{FragmentEnd, FragmentError, FragmentPart, FragmentRows, FragmentStream, from_arrow};
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use proto::{
    NodeId, SqlError,
    kv::{self, failure},
    rpc::{self, BatchEnd, FragmentChunk, fragment_chunk::Body},
};
use sharddb_fragment as fragment;
use sharddb_proto as proto;
use tonic::{Status, Streaming};

use crate::{
    CallError,
    limits::CHUNK_BYTES,
    link::{Link, within},
    sql_error,
};

/// Encodes a fragment's rows.
pub(crate) fn encode(rows: FragmentStream) -> BoxStream<'static, Result<FragmentChunk, Status>> {
    let encoder = Encoder { rows: Some(rows), writer: None, chunks: VecDeque::new() };
    let chunks = stream::unfold(encoder, |mut encoder| async move {
        let chunk = encoder.next().await?;
        Some((Ok(chunk), encoder))
    });
    chunks.boxed()
}

struct Encoder {
    /// Absent once they have ended.
    rows: Option<FragmentStream>,
    writer: Option<StreamWriter<Vec<u8>>>,
    chunks: VecDeque<FragmentChunk>,
}

impl Encoder {
    async fn next(&mut self) -> Option<FragmentChunk> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(chunk);
            }
            let rows = self.rows.as_mut()?;
            let next = AssertUnwindSafe(rows.next()).catch_unwind().await;
            let next = next.unwrap_or_else(|_| Some(Err(SqlError::internal("the fragment failed in the node").into())));
            let end = match next {
                Some(Ok(FragmentPart::Rows(rows))) => match self.write(rows) {
                    Ok(()) => continue,
                    Err(error) => Some(Body::Failed(sql_error::to_wire(&error))),
                },
                Some(Ok(FragmentPart::End(end))) => Some(match self.finish() {
                    Ok(()) => Body::End(end_to_wire(end)),
                    Err(error) => Body::Failed(sql_error::to_wire(&error)),
                }),
                Some(Err(FragmentError::Failed(error))) => Some(Body::Failed(sql_error::to_wire(&error))),
                Some(Err(FragmentError::Refused(kind))) => Some(Body::Refused(kv::Failure { kind: Some(kind) })),
                None => None,
            };
            self.rows = None;
            self.chunks.extend(end.map(|body| FragmentChunk { body: Some(body), batch_end: None }));
        }
    }

    fn write(&mut self, rows: FragmentRows) -> Result<(), SqlError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let writer =
                    StreamWriter::try_new(Vec::new(), &rows.batch.schema()).map_err(|error| from_arrow(&error))?;
                none.insert(writer)
            }
        };
        writer.write(&rows.batch).map_err(|error| from_arrow(&error))?;
        let bytes = std::mem::take(writer.get_mut());
        self.cut(bytes, Some(BatchEnd { resume: rows.resume }));
        Ok(())
    }

    /// Writes the mark of the end, without which the other side does not see a last batch that has no columns.
    fn finish(&mut self) -> Result<(), SqlError> {
        if let Some(mut writer) = self.writer.take() {
            writer.finish().map_err(|error| from_arrow(&error))?;
            self.cut(std::mem::take(writer.get_mut()), None);
        }
        Ok(())
    }

    fn cut(&mut self, bytes: Vec<u8>, batch_end: Option<BatchEnd>) {
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_BYTES));
            let batch_end = if bytes.is_empty() { batch_end.clone() } else { None };
            self.chunks.push_back(FragmentChunk { body: Some(Body::Arrow(chunk)), batch_end });
        }
    }
}

fn end_to_wire(end: FragmentEnd) -> rpc::FragmentEnd {
    let nanoseconds = u64::try_from(end.time.as_nanos()).unwrap_or(u64::MAX);
    rpc::FragmentEnd { rows_scanned: end.rows_scanned, nanoseconds }
}

/// Asks a node for a fragment's rows.
pub(crate) fn fetch(
    link: Result<Arc<Link>, CallError>,
    node: NodeId,
    request: kv::Fragment,
    deadline: Duration,
) -> FragmentStream {
    let begin = async move {
        let refused = |error: CallError| FragmentError::Refused(error.into());
        let mut client = link.map_err(refused)?.channel().await.map_err(refused)?.client();
        let answer = within(deadline, client.fragment(request)).await;
        let answer = answer.ok_or_else(|| refused(CallError::Ambiguous(format!("no answer within {deadline:?}"))))?;
        let chunks = answer.map_err(|status| refused(CallError::Ambiguous(status.message().to_owned())))?;
        let decoder = Decoder::new(node, chunks.into_inner());
        Ok(stream::try_unfold(decoder, |mut decoder| async move {
            let part = decoder.next().await?;
            Ok(part.map(|part| (part, decoder)))
        }))
    };
    stream::once(begin)
        .flat_map(|begun| match begun {
            Ok(batches) => batches.boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
}

struct Decoder {
    node: NodeId,
    chunks: Streaming<FragmentChunk>,
    arrow: StreamDecoder,
    waiting: Buffer,
    /// Of batches whose bytes are there and that were not handed on yet.
    ends: VecDeque<BatchEnd>,
    /// Bytes since the last batch.
    bytes: u64,
    ended: bool,
}

impl Decoder {
    fn new(node: NodeId, chunks: Streaming<FragmentChunk>) -> Self {
        let (arrow, waiting, ends) = (StreamDecoder::new(), Buffer::default(), VecDeque::new());
        Self { node, chunks, arrow, waiting, ends, bytes: 0, ended: false }
    }

    async fn next(&mut self) -> Result<Option<FragmentPart>, FragmentError> {
        while !self.ended {
            if !self.waiting.is_empty()
                && let Some(batch) = self.arrow.decode(&mut self.waiting).map_err(|error| from_arrow(&error))?
            {
                let resume = self.ends.pop_front().and_then(|end| end.resume);
                let bytes = std::mem::take(&mut self.bytes);
                return Ok(Some(FragmentPart::Rows(FragmentRows { batch, bytes, resume })));
            }
            let chunk = match self.chunks.message().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Err(self.lost("its answer was cut off")),
                Err(status) => return Err(self.lost(status.message())),
            };
            self.ends.extend(chunk.batch_end);
            match chunk.body {
                Some(Body::Arrow(bytes)) => {
                    self.bytes += bytes.len() as u64;
                    self.waiting = Buffer::from(bytes);
                }
                Some(Body::End(end)) => return self.end(end).map(Some),
                Some(Body::Failed(error)) => return Err(sql_error::from_wire(error).into()),
                Some(Body::Refused(kv::Failure { kind: Some(kind) })) => return Err(FragmentError::Refused(kind)),
                Some(Body::Refused(_)) | None => return Err(SqlError::internal("an empty answer").into()),
            }
        }
        Ok(None)
    }

    fn end(&mut self, end: rpc::FragmentEnd) -> Result<FragmentPart, FragmentError> {
        self.ended = true;
        self.arrow.finish().map_err(|error| from_arrow(&error))?;
        let (rows_scanned, time) = (end.rows_scanned, Duration::from_nanos(end.nanoseconds));
        Ok(FragmentPart::End(FragmentEnd { rows_scanned, time, bytes: self.bytes }))
    }

    /// Nothing is known of the rest; whoever can go on behind what came may ask elsewhere.
    fn lost(&self, reason: &str) -> FragmentError {
        let reason = format!("the connection to {} was lost: {reason}", self.node);
        FragmentError::Refused(failure::Kind::Ambiguous(reason))
    }
}
