//! Client messages: whatever bytes come, the decoder answers a message, an error, or asks for more.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sharddb_frontend::wire::{Message, Startup, Taken, startup_packet, take_frame, take_piece};

fuzz_target!(|data: &[u8]| {
    let _ = Startup::decode(data);
    if let Ok(Taken::Whole(packet)) = startup_packet(&mut BytesMut::from(data)) {
        let _ = Startup::decode(&packet);
    }

    let mut input = BytesMut::from(data);
    while let Ok(Taken::Whole(frame)) = take_frame(&mut input) {
        if let Ok(Message::Bind(bind)) = Message::decode(frame.tag, &frame.body) {
            assert_eq!(bind.values.iter().count(), bind.values.count());
        }
    }

    let (mut input, mut rest) = (BytesMut::from(data), 0);
    while let Ok(Taken::Whole(_)) = take_piece(&mut input, &mut rest) {}
});
