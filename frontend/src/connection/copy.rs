//! COPY FROM STDIN and TO STDOUT.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use executor::{CommandTag, CopyIn, CopyOut};
use proto::{SqlError, SqlState};
use sharddb_executor as executor;
use sharddb_proto as proto;

use super::{Connection, End, Stop, wait::watch};
use crate::{
    socket::OUTPUT_BYTES,
    wire::{self, Message, Piece, Taken},
};

/// Data handed to the session at once. Clients send a message for each row; handing each on would cost more than the
/// row.
const CHUNK_BYTES: usize = 64 << 10;

impl Connection {
    /// Takes the client's data until it says that this was all.
    pub(super) async fn copy_in(&mut self, mut copy: Box<CopyIn>) -> Result<CommandTag, Stop> {
        wire::copy_response(&mut self.socket.output, b'G', copy.columns(), copy.binary());
        self.socket.mark_due();
        let mut chunk = BytesMut::new();
        // Of the CopyData message at hand.
        let mut rest = 0;
        loop {
            match wire::take_piece(&mut self.socket.input, &mut rest).map_err(End::from)? {
                Taken::Needs(bytes) => self.wait_for_input(bytes).await?,
                Taken::Whole(Piece::Data(data)) => {
                    add_data(&mut chunk, data);
                    if chunk.len() >= CHUNK_BYTES {
                        let written = self.copy_write(&mut copy, chunk.split().freeze()).await;
                        if written.is_err() {
                            self.passing_over = rest;
                        }
                        written?;
                    }
                }
                Taken::Whole(Piece::Message(frame)) => {
                    match Message::decode(frame.tag, &frame.body).map_err(SqlError::from)? {
                        Message::CopyDone => {
                            self.copy_write(&mut copy, chunk.freeze()).await?;
                            return Ok(
                                watch(&mut self.socket, &self.control, pin!(copy.finish(&mut self.session))).await??
                            );
                        }
                        Message::CopyFail(message) => {
                            return Err(watch(
                                &mut self.socket,
                                &self.control,
                                pin!(copy.fail(&mut self.session, message)),
                            )
                            .await?
                            .into());
                        }
                        // Drivers that pipeline send them; they mean nothing here.
                        Message::Flush | Message::Sync => {}
                        Message::Terminate => return Err(End::Gone.into()),
                        _ => return Err(End::Fatal(unexpected(frame.tag)).into()),
                    }
                }
            }
        }
    }

    async fn copy_write(&mut self, copy: &mut CopyIn, data: Bytes) -> Result<(), Stop> {
        if data.is_empty() {
            return Ok(());
        }
        Ok(watch(&mut self.socket, &self.control, pin!(copy.write(&mut self.session, data))).await??)
    }

    /// Sends the data of COPY TO.
    pub(super) async fn copy_out(&mut self, mut copy: CopyOut) -> Result<CommandTag, Stop> {
        wire::copy_response(&mut self.socket.output, b'H', copy.columns(), copy.binary());
        loop {
            let data = watch(&mut self.socket, &self.control, pin!(copy.next())).await??;
            let Some(data) = data else { break };
            let mut start = 0;
            for end in copy.row_ends() {
                let row = data.get(start..*end).unwrap_or_default();
                start = *end;
                if row.len() > wire::MESSAGE_BYTES_MAX - 4 {
                    return Err(SqlError::new(SqlState::ProgramLimitExceeded, "row is too long for a message").into());
                }
                let at = wire::start_message(&mut self.socket.output, wire::COPY_DATA);
                self.socket.output.put_slice(row);
                wire::finish_message(&mut self.socket.output, at);
                if self.socket.output.len() >= OUTPUT_BYTES {
                    self.flush().await?;
                }
            }
        }
        wire::empty(&mut self.socket.output, b'c');
        Ok(copy.tag())
    }
}

/// Collects small pieces; a large one is kept as it is.
fn add_data(chunk: &mut BytesMut, data: BytesMut) {
    if chunk.is_empty() && data.len() >= CHUNK_BYTES {
        *chunk = data;
    } else {
        chunk.extend_from_slice(&data);
    }
}

fn unexpected(tag: u8) -> SqlError {
    let message = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
    SqlError::new(SqlState::ProtocolViolation, message)
}
