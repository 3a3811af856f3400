//! Frames for a session that serves one core and has opened another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use libvms_hypercore::identity::PublicKey;
use libvms_hypercore::wire::mux::Limits;
use libvms_hypercore::wire::session::Session;
use libvms_hypercore::wire::{HandshakeHash, Role};
use libvms_protocol_fuzz::pieces;

fuzz_target!(|bytes: &[u8]| {
    let key = |number| PublicKey([number; 32]);
    let mut session = Session::new(Role::Responder, HandshakeHash([7; 64]), Limits::default());
    let _opened = session.open(key(1));
    let _served = session.serve(key(2));
    for (choice, frame) in pieces(bytes) {
        let is_good = session.handle_frame(frame).is_ok();
        while session.poll_event().is_some() {}
        if choice == 0 {
            session.close(&key(1));
            let _opened = session.open(key(1));
        }
        while session.poll_transmit().is_some() {}
        if !is_good {
            return;
        }
    }
});
