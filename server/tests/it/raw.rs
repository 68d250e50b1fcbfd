//! A client that sends whatever bytes a test wants.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) tag: u8,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A field of an ErrorResponse or NoticeResponse.
    pub(crate) fn field(&self, code: u8) -> Option<String> {
        let mut fields = self.body.split(|byte| *byte == 0);
        fields.find_map(|field| match field.split_first() {
            Some((first, text)) if *first == code => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
    }

    /// Severity and SQLSTATE of an ErrorResponse.
    pub(crate) fn error(&self) -> (String, String) {
        assert_eq!(self.tag, b'E', "{self:?}");
        (self.field(b'S').expect("a severity"), self.field(b'C').expect("a SQLSTATE"))
    }
}

/// A connection without any protocol of its own.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket option");
        // Only so that a test that waits in vain fails instead of hanging.
        stream.set_read_timeout(Some(Duration::from_secs(100))).expect("a socket option");
        Self { stream }
    }

    /// Connects and begins a session as postgres.
    pub(crate) fn session(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address);
        raw.send(&startup(3 << 16, b"user\0postgres\0\0"));
        let greeting = raw.until_ready();
        assert_eq!(greeting.first().map(|answer| answer.tag), Some(b'R'), "{greeting:?}");
        raw
    }

    /// Sends bytes. That the server has closed already shows when reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes and says that no more will come.
    pub(crate) fn send_last(&mut self, bytes: &[u8]) {
        self.send(bytes);
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// One byte, as the answer to an encryption request.
    pub(crate) fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("a byte");
        byte[0]
    }

    /// Bytes up to the end.
    pub(crate) fn read_to_end(&mut self, bytes: &mut Vec<u8>) {
        // A reset is an end, too.
        let _ = self.stream.read_to_end(bytes);
    }

    /// The next message; `None` at the end.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let mut head = [0; 5];
        match self.stream.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return None,
            Err(error) => panic!("no answer: {error}"),
        }
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).expect("a whole message");
        Some(Answer { tag: head[0], body })
    }

    /// Messages up to and with ReadyForQuery.
    pub(crate) fn until_ready(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let answer = self.answer().unwrap_or_else(|| panic!("the connection ended after {answers:?}"));
            let ready = answer.tag == b'Z';
            answers.push(answer);
            if ready {
                return answers;
            }
        }
    }

    /// Messages up to the end of the connection.
    pub(crate) fn until_end(&mut self) -> Vec<Answer> {
        std::iter::from_fn(|| self.answer()).collect()
    }

    /// Sends messages of the extended protocol with a Sync; answers what comes back.
    pub(crate) fn batch(&mut self, messages: &[&[u8]]) -> Vec<Answer> {
        self.send(&[messages.concat(), sync()].concat());
        self.until_ready()
    }

    /// Runs a simple query; answers its messages.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<Answer> {
        self.send(&message(b'Q', &text(sql)));
        self.until_ready()
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

/// A message with its type and length.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

/// A startup packet.
pub(crate) fn startup(version: u32, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], &version.to_be_bytes(), body].concat()
}

/// A zero-terminated text.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Types of messages, as text.
pub(crate) fn tags(answers: &[Answer]) -> String {
    answers.iter().map(|answer| char::from(answer.tag)).collect()
}

/// Parse with declared parameter types.
pub(crate) fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let count = (types.len() as u16).to_be_bytes();
    let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    message(b'P', &[&text(name)[..], &text(sql), &count, &types].concat())
}

/// Bind with parameters and result columns in text, unless formats are given.
pub(crate) fn bind(portal: &str, statement: &str, parameters: &[Option<&[u8]>]) -> Vec<u8> {
    bind_as(portal, statement, &[], parameters, &[])
}

/// Bind with format codes.
pub(crate) fn bind_as(
    portal: &str,
    statement: &str,
    formats: &[u16],
    parameters: &[Option<&[u8]>],
    results: &[u16],
) -> Vec<u8> {
    let codes = |codes: &[u16]| -> Vec<u8> {
        let count = codes.len() as u16;
        [count].iter().chain(codes).flat_map(|code| code.to_be_bytes()).collect()
    };
    let value = |value: &Option<&[u8]>| match value {
        Some(bytes) => [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat(),
        None => vec![0xff; 4],
    };
    let values: Vec<u8> = parameters.iter().flat_map(value).collect();
    let count = (parameters.len() as u16).to_be_bytes();
    let parts = [&text(portal)[..], &text(statement), &codes(formats), &count, &values, &codes(results)];
    message(b'B', &parts.concat())
}

/// Execute.
pub(crate) fn execute(portal: &str, limit: i32) -> Vec<u8> {
    message(b'E', &[&text(portal)[..], &limit.to_be_bytes()].concat())
}

/// Describe (`D`) or Close (`C`) of a statement (`S`) or portal (`P`).
pub(crate) fn named(tag: u8, target: u8, name: &str) -> Vec<u8> {
    message(tag, &[&[target][..], &text(name)].concat())
}

/// Sync.
pub(crate) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// All messages of one unnamed statement without parameters, up to Execute.
pub(crate) fn run(sql: &str) -> Vec<u8> {
    [parse("", sql, &[]), bind("", "", &[]), execute("", 0)].concat()
}
