//! Reading the fields of a message.

use std::ffi::CStr;

use sharddb_schema as schema;

use super::DecodeError;

/// Reads fields off the front of a message's body.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) =
            self.rest.split_at_checked(count).ok_or(DecodeError::Malformed("insufficient data left in message"))?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (front, rest) =
            self.rest.split_first_chunk().ok_or(DecodeError::Malformed("insufficient data left in message"))?;
        self.rest = rest;
        Ok(*front)
    }

    /// A byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    /// A count or format code.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// An OID.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A length or limit.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// The bytes up to the next zero byte, which is passed over.
    pub fn terminated(&mut self) -> Result<&'a [u8], DecodeError> {
        let text =
            CStr::from_bytes_until_nul(self.rest).map_err(|_| DecodeError::Malformed("invalid string in message"))?;
        let text = text.to_bytes();
        self.rest = &self.rest[text.len() + 1..];
        Ok(text)
    }

    /// A zero-terminated text.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        schema::wire::decode_utf8(self.terminated()?).map_err(DecodeError::Encoding)
    }

    /// A value with its length; `None` for NULL, whose length is -1.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| DecodeError::Malformed("invalid message format"))?;
                self.take(length).map(Some)
            }
        }
    }

    /// Makes sure that everything was read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("invalid message format")) }
    }
}
