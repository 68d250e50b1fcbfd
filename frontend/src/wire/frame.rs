//! Cutting the input into messages.

use bytes::{Buf, BytesMut};

use super::FrameError;

/// Bytes of a message with a statement, parameters or COPY data: PostgreSQL's limit on an allocation, less one.
pub const MESSAGE_BYTES_MAX: usize = 0x3fff_fffe;
/// Bytes of a message that holds names and numbers only, as in PostgreSQL.
pub const SHORT_MESSAGE_BYTES_MAX: usize = 10_000;
/// Bytes of a startup packet, as in PostgreSQL: whoever sends it is not known yet.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Bytes of an authentication message, as in PostgreSQL: whoever sends it is not known yet.
pub const AUTHENTICATION_BYTES_MAX: usize = 65_535;

/// Bytes of a message's type and length.
const HEADER: usize = 5;

/// A whole message: its type and what follows the length.
#[derive(Debug)]
pub struct Frame {
    /// Type byte.
    pub tag: u8,
    /// Content.
    pub body: BytesMut,
}

/// Greatest length (the length field included) of a message of this type; `None` for a byte that is no type.
fn bound(tag: u8) -> Option<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => Some(MESSAGE_BYTES_MAX),
        b'p' => Some(AUTHENTICATION_BYTES_MAX),
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' => Some(SHORT_MESSAGE_BYTES_MAX),
        _ => None,
    }
}

/// Type and length (the length field included) of the next message.
fn header(input: &[u8]) -> Result<Option<(u8, usize)>, FrameError> {
    let Some(&tag) = input.first() else { return Ok(None) };
    let bound = bound(tag).ok_or(FrameError::UnknownType(tag))?;
    let Some(length) = input.get(1..HEADER).and_then(|bytes| bytes.try_into().ok()) else { return Ok(None) };
    match usize::try_from(i32::from_be_bytes(length)) {
        Ok(length) if (4..=bound).contains(&length) => Ok(Some((tag, length))),
        _ => Err(FrameError::Length),
    }
}

/// Takes the next message off the input.
#[inline]
pub fn take_frame(input: &mut BytesMut) -> Result<Taken<Frame>, FrameError> {
    let Some((tag, length)) = header(input)? else { return Ok(Taken::Needs(HEADER)) };
    if input.len() < length + 1 {
        return Ok(Taken::Needs(length + 1));
    }
    input.advance(HEADER);
    Ok(Taken::Whole(Frame { tag, body: input.split_to(length - 4) }))
}

/// Type of the next message, if all of it is there.
#[inline]
pub fn next_whole(input: &[u8]) -> Option<u8> {
    let (tag, length) = header(input).ok()??;
    (input.len() > length).then_some(tag)
}

/// What was taken off the input.
#[derive(Debug)]
pub enum Taken<T> {
    /// All of it.
    Whole(T),
    /// Nothing yet: so many bytes, at least, must be there.
    Needs(usize),
}

/// What the client sends during COPY FROM STDIN.
#[derive(Debug)]
pub enum Piece {
    /// Data, cut anywhere: a CopyData message is handed on as it comes in, however long it is.
    Data(BytesMut),
    /// Any other message.
    Message(Frame),
}

/// Takes the next data or message off the input. `rest` counts the bytes of the present CopyData message still to come;
/// start with 0.
pub fn take_piece(input: &mut BytesMut, rest: &mut usize) -> Result<Taken<Piece>, FrameError> {
    if *rest == 0 {
        match header(input)? {
            None => return Ok(Taken::Needs(HEADER)),
            Some((b'd', length)) => {
                input.advance(HEADER);
                *rest = length - 4;
                if *rest == 0 {
                    return Ok(Taken::Whole(Piece::Data(BytesMut::new())));
                }
            }
            Some(_) => {
                return Ok(match take_frame(input)? {
                    Taken::Whole(frame) => Taken::Whole(Piece::Message(frame)),
                    Taken::Needs(bytes) => Taken::Needs(bytes),
                });
            }
        }
    }
    if input.is_empty() {
        return Ok(Taken::Needs(1));
    }
    let data = input.split_to(input.len().min(*rest));
    *rest -= data.len();
    Ok(Taken::Whole(Piece::Data(data)))
}

/// Takes a startup packet, which has no type byte.
pub fn startup_packet(input: &mut BytesMut) -> Result<Taken<BytesMut>, FrameError> {
    let Some(length) = input.get(..4).and_then(|bytes| bytes.try_into().ok()) else { return Ok(Taken::Needs(4)) };
    let length = match usize::try_from(i32::from_be_bytes(length)) {
        Ok(length) if (8..=STARTUP_BYTES_MAX).contains(&length) => length,
        _ => return Err(FrameError::StartupLength),
    };
    if input.len() < length {
        return Ok(Taken::Needs(length));
    }
    input.advance(4);
    Ok(Taken::Whole(input.split_to(length - 4)))
}
