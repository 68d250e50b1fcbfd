//! Messages of a client after startup.

use super::{DecodeError, Reader};

/// A message, borrowed from its frame.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Simple query.
    Query(&'a str),
    /// Prepare a statement.
    Parse {
        /// Name of the statement; empty for the unnamed one.
        name: &'a str,
        /// Its text.
        sql: &'a str,
        /// Declared parameter types, big-endian OIDs; 0 is to be inferred.
        types: &'a [u8],
    },
    /// Make a portal.
    Bind(Bind<'a>),
    /// Ask for a description.
    Describe(Target, &'a str),
    /// Run a portal.
    Execute {
        /// Name of the portal.
        portal: &'a str,
        /// Most rows to answer; no limit if not positive.
        limit: i32,
    },
    /// Forget a statement or portal.
    Close(Target, &'a str),
    /// Send what is pending.
    Flush,
    /// End of a batch.
    Sync,
    /// Function call: not supported.
    FunctionCall,
    /// COPY data.
    CopyData,
    /// End of COPY data.
    CopyDone,
    /// COPY is given up.
    CopyFail(&'a str),
    /// Good bye.
    Terminate,
    /// Authentication, which is over by now.
    Password,
}

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// A Bind message.
#[derive(Clone, Copy, Debug)]
pub struct Bind<'a> {
    /// Name of the portal; empty for the unnamed one.
    pub portal: &'a str,
    /// Name of the statement.
    pub statement: &'a str,
    /// Format codes of the parameters.
    pub formats: Codes<'a>,
    /// The parameters.
    pub values: Values<'a>,
    /// Format codes of the result columns.
    pub results: Codes<'a>,
}

/// Format codes: none for text, one for all, or one for each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codes<'a>(&'a [u8]);

impl<'a> Codes<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = usize::from(reader.u16()?);
        reader.take(count * 2).map(Self)
    }

    /// How many codes there are.
    pub fn count(self) -> usize {
        self.0.len() / 2
    }

    /// The code for the value at this position.
    pub fn code(self, position: usize) -> u16 {
        let position = if self.count() == 1 { 0 } else { position };
        self.0.get(position * 2..position * 2 + 2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]))
    }

    /// Every code as it came.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        self.0.chunks_exact(2).map(|code| u16::from_be_bytes([code[0], code[1]]))
    }
}

/// Parameter values; their lengths were checked.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = usize::from(reader.u16()?);
        let before = reader.rest();
        for _ in 0..count {
            reader.value()?;
        }
        Ok(Self { count, bytes: &before[..before.len() - reader.rest().len()] })
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// The values in order; `None` for NULL.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| reader.value().ok())
    }
}

impl<'a> Message<'a> {
    /// Reads the body of a message of this type.
    pub fn decode(tag: u8, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let message = match tag {
            b'Q' => Self::Query(reader.text()?),
            b'P' => Self::decode_parse(&mut reader)?,
            b'B' => Self::Bind(Bind::read(&mut reader)?),
            b'D' => Self::Describe(target(&mut reader)?, reader.text()?),
            b'E' => Self::Execute { portal: reader.text()?, limit: reader.i32()? },
            b'C' => Self::Close(target(&mut reader)?, reader.text()?),
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(reader.text()?),
            // Their contents do not matter where this is called.
            b'F' => return Ok(Self::FunctionCall),
            b'd' => return Ok(Self::CopyData),
            b'p' => return Ok(Self::Password),
            _ => return Err(DecodeError::Malformed("invalid message format")),
        };
        reader.finish()?;
        Ok(message)
    }

    fn decode_parse(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let (name, sql) = (reader.text()?, reader.text()?);
        let count = usize::from(reader.u16()?);
        Ok(Self::Parse { name, sql, types: reader.take(count * 4)? })
    }
}

impl<'a> Bind<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            portal: reader.text()?,
            statement: reader.text()?,
            formats: Codes::read(reader)?,
            values: Values::read(reader)?,
            results: Codes::read(reader)?,
        })
    }
}

fn target(reader: &mut Reader<'_>) -> Result<Target, DecodeError> {
    match reader.byte()? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        _ => Err(DecodeError::Malformed("invalid message subtype")),
    }
}
