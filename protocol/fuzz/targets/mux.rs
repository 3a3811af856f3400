//! Frames for a multiplexer that opens, accepts, rejects and closes channels between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::wire::mux::{Event, Limits, Mux, Name};
use libvms_protocol_fuzz::pieces;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { channels_max: 8, requested_max: 4, answers_max: 16, ..Limits::default() };
    let mut mux = Mux::new(limits);
    mux.open(Name { protocol: "proto".into(), id: vec![0] }, b"");
    for (choice, frame) in pieces(bytes) {
        let is_good = mux.handle_frame(frame).is_ok();
        while let Some(event) = mux.poll_event() {
            let channel = event.channel();
            match (choice % 4, event) {
                (0, Event::Requested { .. }) => mux.reject(channel),
                (_, Event::Requested { .. }) => drop(mux.accept(channel, b"hello")),
                (1, _) => mux.close(channel),
                (2, _) => drop(mux.send(channel, 1, b"body")),
                _ => {}
            }
        }
        while mux.poll_transmit().is_some() {}
        assert_eq!(mux.transmit_bytes(), 0);
        if !is_good {
            return;
        }
    }
});
