//! Messages of a link: one or several envelopes, encoded one after the other as field 1 of a protobuf message.
//!
//! The sender's callers encode each envelope into the outbox, so a message is ready when it is taken. The receiver copies
//! small envelopes out of it (see `COPY_BYTES`).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::{
    Message,
    encoding::{decode_varint, encode_varint, encoded_len_varint},
};
use proto::rpc::Envelope;
use sharddb_proto as proto;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::limits::COPY_BYTES;

/// Field 1, length-delimited.
const TAG: u8 = 0x0a;
/// tonic's buffer grows in such steps; a message of a few requests fits one.
const BUFFER_BYTES: usize = 8 << 10;
/// Messages that are ready at once leave together up to this.
const YIELD_BYTES: usize = 64 << 10;

/// A message of a link.
#[derive(Debug)]
pub(crate) enum Batch {
    /// On its way out.
    Encoded(Bytes),
    /// As it came.
    Received(Vec<Envelope>),
}

/// Appends an envelope of this encoded length.
pub(crate) fn append(buffer: &mut BytesMut, envelope: &Envelope, length: usize) {
    buffer.reserve(1 + encoded_len_varint(length as u64) + length);
    buffer.put_u8(TAG);
    encode_varint(length as u64, buffer);
    let before = buffer.len();
    envelope.encode_raw(buffer);
    debug_assert_eq!(buffer.len() - before, length);
}

/// Encodes and decodes [`Batch`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkCodec;

impl Codec for LinkCodec {
    type Encode = Batch;
    type Decode = Batch;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for LinkCodec {
    type Item = Batch;
    type Error = Status;

    fn encode(&mut self, batch: Batch, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match batch {
            Batch::Encoded(bytes) => into.put_slice(&bytes),
            Batch::Received(_) => return Err(Status::internal("a batch that was received is not sent on")),
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl Decoder for LinkCodec {
    type Item = Batch;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Batch>, Status> {
        let mut envelopes = Vec::new();
        while from.has_remaining() {
            envelopes.push(next(from)?);
        }
        Ok(Some(Batch::Received(envelopes)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

fn next(from: &mut impl Buf) -> Result<Envelope, Status> {
    let broken = || Status::invalid_argument("a broken batch");
    if from.get_u8() != TAG {
        return Err(broken());
    }
    let length = decode_varint(from).map_err(|_| broken())?;
    let length = usize::try_from(length).map_err(|_| broken())?;
    if length > from.remaining() {
        return Err(broken());
    }
    let bytes = if length > COPY_BYTES {
        from.copy_to_bytes(length)
    } else {
        let mut copy = vec![0; length];
        from.copy_to_slice(&mut copy);
        Bytes::from(copy)
    };
    Envelope::decode(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proto::rpc::envelope::Body;

    use super::*;

    fn envelope(id: u64, bytes: usize) -> Envelope {
        let get = proto::kv::Get { keys: vec![vec![7; bytes].into()], read_ts: 0 };
        let body = Some(proto::kv::request::Body::Get(get));
        Envelope { id, deadline_ms: 5, body: Some(Body::Request(proto::kv::Request { header: None, body })) }
    }

    #[test]
    fn envelopes_come_out_as_they_went_in() {
        let sent = [envelope(1, 3), envelope(2, 0), envelope(3, 2 * COPY_BYTES)];
        let mut buffer = BytesMut::new();
        sent.iter().for_each(|envelope| append(&mut buffer, envelope, envelope.encoded_len()));
        let mut bytes = buffer.freeze();
        for envelope in &sent {
            assert_eq!(&next(&mut bytes).expect("an envelope"), envelope);
        }
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_batch_that_is_cut_or_garbled_is_refused() {
        let mut buffer = BytesMut::new();
        let whole = envelope(9, 40);
        append(&mut buffer, &whole, whole.encoded_len());
        for end in 1..buffer.len() {
            assert!(next(&mut &buffer[..end]).is_err(), "{end} bytes");
        }
        buffer[0] ^= 1;
        assert!(next(&mut &buffer[..]).is_err());
        assert!(next(&mut &[TAG, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..]).is_err());
    }
}
