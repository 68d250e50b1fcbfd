//! Rows of fragments on the network: an Arrow IPC stream, cut into messages.
//!
//! The serving end runs the fragment no faster than its messages leave, which HTTP/2's flow control ties to the reader.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    ipc::{reader::StreamDecoder, writer::StreamWriter},
};
use bytes::Bytes;
use fragment::{FragmentError, FragmentStream, from_arrow};
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use proto::{
    NodeId, SqlError, SqlState,
    kv::{self, failure},
    rpc::{FragmentChunk, fragment_chunk::Body},
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
        Some((Ok(FragmentChunk { body: Some(chunk) }), encoder))
    });
    chunks.boxed()
}

struct Encoder {
    /// Absent once they have ended.
    rows: Option<FragmentStream>,
    writer: Option<StreamWriter<Vec<u8>>>,
    chunks: VecDeque<Body>,
}

impl Encoder {
    async fn next(&mut self) -> Option<Body> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(chunk);
            }
            let rows = self.rows.as_mut()?;
            let next = AssertUnwindSafe(rows.next()).catch_unwind().await;
            let next = next.unwrap_or_else(|_| Some(Err(SqlError::internal("the fragment failed in the node").into())));
            let end = match next {
                None => match self.finish() {
                    Ok(()) => None,
                    Err(error) => Some(Body::Failed(sql_error::to_wire(&error))),
                },
                Some(Ok(batch)) => match self.write(&batch) {
                    Ok(()) => continue,
                    Err(error) => Some(Body::Failed(sql_error::to_wire(&error))),
                },
                Some(Err(FragmentError::Failed(error))) => Some(Body::Failed(sql_error::to_wire(&error))),
                Some(Err(FragmentError::Refused(kind))) => Some(Body::Refused(kv::Failure { kind: Some(kind) })),
            };
            self.rows = None;
            self.chunks.extend(end);
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(|error| from_arrow(&error))?;
                none.insert(writer)
            }
        };
        writer.write(batch).map_err(|error| from_arrow(&error))?;
        let bytes = std::mem::take(writer.get_mut());
        self.cut(bytes);
        Ok(())
    }

    /// Writes the mark of the end, without which the other side does not see a last batch that has no columns.
    fn finish(&mut self) -> Result<(), SqlError> {
        if let Some(mut writer) = self.writer.take() {
            writer.finish().map_err(|error| from_arrow(&error))?;
            self.cut(std::mem::take(writer.get_mut()));
        }
        Ok(())
    }

    fn cut(&mut self, bytes: Vec<u8>) {
        let mut bytes = Bytes::from(bytes);
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_BYTES));
            self.chunks.push_back(Body::Arrow(chunk));
        }
    }
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
        let decoder = Decoder {
            node,
            chunks: chunks.into_inner(),
            arrow: StreamDecoder::new(),
            waiting: Buffer::default(),
            started: false,
        };
        Ok(stream::try_unfold(decoder, |mut decoder| async move {
            let batch = decoder.next().await?;
            Ok(batch.map(|batch| (batch, decoder)))
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
    started: bool,
}

impl Decoder {
    async fn next(&mut self) -> Result<Option<RecordBatch>, FragmentError> {
        loop {
            if !self.waiting.is_empty()
                && let Some(batch) = self.arrow.decode(&mut self.waiting).map_err(|error| from_arrow(&error))?
            {
                self.started = true;
                return Ok(Some(batch));
            }
            let chunk = match self.chunks.message().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => {
                    self.arrow.finish().map_err(|error| from_arrow(&error))?;
                    return Ok(None);
                }
                Err(status) => return Err(self.lost(&status)),
            };
            match chunk.body {
                Some(Body::Arrow(bytes)) => self.waiting = Buffer::from(bytes),
                Some(Body::Failed(error)) => return Err(sql_error::from_wire(error).into()),
                Some(Body::Refused(kv::Failure { kind: Some(kind) })) => return Err(FragmentError::Refused(kind)),
                Some(Body::Refused(_)) | None => return Err(SqlError::internal("an empty answer").into()),
            }
        }
    }

    fn lost(&self, status: &Status) -> FragmentError {
        let reason = format!("the connection to {} was lost: {}", self.node, status.message());
        if self.started {
            FragmentError::Failed(SqlError::new(SqlState::ConnectionFailure, reason))
        } else {
            FragmentError::Refused(failure::Kind::Ambiguous(reason))
        }
    }
}
