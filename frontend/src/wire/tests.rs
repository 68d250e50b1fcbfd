//! Messages from whoever may send them.

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;

fn message(tag: u8, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(tag);
    out.put_u32(body.len() as u32 + 4);
    out.put_slice(body);
    out
}

fn frame(input: &mut BytesMut) -> Frame {
    match take_frame(input) {
        Ok(Taken::Whole(frame)) => frame,
        other => panic!("no message but {other:?}"),
    }
}

#[test]
fn a_message_is_taken_once_it_is_whole() {
    let whole = message(b'Q', b"select 1\0");
    for cut in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..cut]);
        assert!(matches!(take_frame(&mut part), Ok(Taken::Needs(needs)) if needs > cut), "{cut}");
        assert_eq!(part.len(), cut);
        assert_eq!(next_whole(&part), None);
    }
    let mut input = whole.clone();
    input.extend_from_slice(&whole);
    assert_eq!(next_whole(&input), Some(b'Q'));
    let frame = frame(&mut input);
    assert!(matches!(Message::decode(frame.tag, &frame.body), Ok(Message::Query("select 1"))));
    assert_eq!(input, whole);
}

#[test]
fn lengths_and_types_are_checked_before_anything_is_read() {
    let length = |tag: u8, length: i32| {
        let mut input = BytesMut::new();
        input.put_u8(tag);
        input.put_i32(length);
        take_frame(&mut input).err()
    };
    for bad in [i32::MIN, -1, 0, 3, i32::MAX] {
        assert_eq!(length(b'Q', bad), Some(FrameError::Length), "{bad}");
    }
    assert_eq!(length(b'Q', MESSAGE_BYTES_MAX as i32), None);
    assert_eq!(length(b'S', SHORT_MESSAGE_BYTES_MAX as i32 + 1), Some(FrameError::Length));
    assert_eq!(length(b'!', 4), Some(FrameError::UnknownType(b'!')));
    let startup = |length: i32| startup_packet(&mut BytesMut::from(&length.to_be_bytes()[..])).err();
    for bad in [i32::MIN, -1, 0, 7, STARTUP_BYTES_MAX as i32 + 1] {
        assert_eq!(startup(bad), Some(FrameError::StartupLength), "{bad}");
    }
    assert_eq!(startup(8), None);
}

#[test]
fn a_bind_message_is_read() {
    let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x02\0\0\0\x01";
    let Ok(Message::Bind(bind)) = Message::decode(b'B', body) else { panic!("a bind message") };
    assert_eq!((bind.portal, bind.statement), ("p", "s"));
    assert_eq!((bind.formats.code(0), bind.formats.code(1)), (1, 1));
    assert_eq!(bind.values.iter().collect::<Vec<_>>(), [Some(&b"x"[..]), None]);
    assert_eq!(bind.results.iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(Codes::default().code(3), 0);
}

#[test]
fn what_does_not_add_up_is_malformed() {
    let cases: [(u8, &[u8]); 10] = [
        (b'Q', b"no end"),
        (b'Q', b"a\0b\0"),
        (b'P', b"\0select\0\0\x02\0\0\0\x01"),
        (b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"),
        (b'B', b"\0\0\xff\xff\0\0\0\0"),
        (b'D', b"Xname\0"),
        (b'E', b"\0\0\0"),
        (b'S', b"x"),
        (b'C', b""),
    ];
    for (tag, body) in cases {
        assert!(matches!(Message::decode(tag, body), Err(DecodeError::Malformed(_))), "{} {body:?}", tag as char);
    }
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let Err(DecodeError::Encoding(error)) = Message::decode(b'Q', b"select '\xc3\x28'\0") else { panic!("an error") };
    assert_eq!(error.state().code(), "22021");
    assert_eq!(error.message(), "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28");
}

#[test]
fn copy_data_is_handed_on_as_it_comes() {
    let mut input = message(b'd', b"hello");
    input.truncate(7);
    let mut rest = 0;
    let mut taken = BytesMut::new();
    loop {
        match take_piece(&mut input, &mut rest) {
            Ok(Taken::Whole(Piece::Data(data))) => taken.extend_from_slice(&data),
            Ok(Taken::Whole(Piece::Message(frame))) => break assert_eq!(frame.tag, b'c'),
            Ok(Taken::Needs(_)) if rest == 3 => {
                input.extend_from_slice(b"llo");
                input.extend_from_slice(&message(b'd', b""));
                input.extend_from_slice(&message(b'c', b""));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(&taken[..], b"hello");
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Taken::Whole(frame)) = take_frame(&mut input) {
            if let Ok(Message::Bind(bind)) = Message::decode(frame.tag, &frame.body) {
                prop_assert_eq!(bind.values.iter().count(), bind.values.count());
            }
        }
        let _ = Startup::decode(&bytes);
        let _ = startup_packet(&mut BytesMut::from(&bytes[..]));
    }

    #[test]
    fn no_body_makes_its_message_panic(
        tag in proptest::sample::select(b"QPBDECHSXdcfFp".to_vec()),
        body in proptest::collection::vec(prop_oneof![Just(0_u8), Just(255), any::<u8>()], 0..64),
    ) {
        let _ = Message::decode(tag, &body);
    }

    #[test]
    fn pieces_of_copy_data_add_up(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..10),
        cuts in proptest::collection::vec(1_usize..15, 1..40),
    ) {
        let mut stream = BytesMut::new();
        chunks.iter().for_each(|chunk| stream.extend_from_slice(&message(b'd', chunk)));
        let (mut input, mut rest, mut taken, mut cuts) = (BytesMut::new(), 0, Vec::new(), cuts.into_iter().cycle());
        loop {
            match take_piece(&mut input, &mut rest) {
                Ok(Taken::Whole(Piece::Data(data))) => taken.extend_from_slice(&data),
                Ok(Taken::Needs(_)) if stream.is_empty() => break,
                Ok(Taken::Needs(_)) => {
                    let cut = cuts.next().unwrap_or(1).min(stream.len());
                    input.extend_from_slice(&stream.split_to(cut));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(taken, chunks.concat());
    }
}
