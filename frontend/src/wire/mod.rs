//! The bytes of the PostgreSQL protocol, version 3.0: framing, client messages, server messages.
//!
//! Written for hostile input: every length is checked against a named bound before anything is read or allocated by
//! it, text is checked to be UTF-8, and a message borrows from the input buffer instead of copying. (The message types
//! of the pgwire crate take text that is not UTF-8 by replacing characters, and copy every string.)
//!
//! Does not: read sockets, know what messages mean.

mod error;
mod frame;
mod message;
mod reader;
mod respond;
mod startup;
#[cfg(test)]
mod tests;

pub use error::{DecodeError, FrameError};
pub use frame::{
    AUTHENTICATION_BYTES_MAX, Frame, MESSAGE_BYTES_MAX, Piece, SHORT_MESSAGE_BYTES_MAX, STARTUP_BYTES_MAX, Taken,
    next_whole, startup_packet, take_frame, take_piece,
};
pub use message::{Bind, Codes, Message, Target, Values};
pub use reader::Reader;
pub(crate) use respond::{
    COPY_DATA, DATA_ROW, authentication, authentication_ok, backend_key, copy_response, empty, error_response,
    finish_message, negotiate_version, notice_response, parameter_description, parameter_status, ready_for_query,
    row_description, start_message,
};
pub use startup::{Startup, StartupParameters};
