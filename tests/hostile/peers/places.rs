//! Places for connections: strangers take their own, and no more.

use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use libvms_hypercore::blocks::BlockIndex;
use libvms_hypercore::wire::Role;
use libvms_hypercore::wire::message::{Message, Request, RequestBlock};
use serde_json::json;

use super::peer::{PATIENCE, Peer, connect_from, is_cut_off};
use super::siege::{Siege, Victim, copy};

/// Whether a peer from this address is let in and served.
fn is_served(siege: &Siege, source: Ipv4Addr) -> bool {
    let socket = connect_from(source, siege.address).expect("it listens");
    let Some(mut peer) = Peer::shake_hands(socket, Role::Initiator) else { return false };
    peer.open_core(siege.log);
    get_block(&mut peer, siege)
}

fn get_block(peer: &mut Peer, siege: &Siege) -> bool {
    let block = Some(RequestBlock { index: BlockIndex(0), nodes: 0 });
    peer.say(&siege.log, &Message::Request(Request { id: 1, block, ..Request::default() }));
    peer.hear_until(|message| matches!(message, Message::Data(_))).is_some()
}

#[test]
fn a_thousand_connections_from_one_address_leave_room_for_others() {
    let mut siege = Siege::new();
    let (home, elsewhere) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 7, 7));
    let crowd: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(siege.address).expect("it listens")).collect();
    assert!(!is_served(&siege, home), "one address has its 64 connections");
    assert!(is_served(&siege, elsewhere));
    siege.call(&[("count", json!([]))]);
    // None of them ever shakes hands: they go by themselves, and honest peers of that address come in again.
    assert!(crowd.iter().all(|socket| is_cut_off(socket, PATIENCE)));
    assert!(is_served(&siege, home));
    let network = siege.end();
    assert_eq!(network["closed"]["handshake"], json!(64), "{network}");
    assert!(network["refused"].as_u64() >= Some(936), "{network}");
}

#[test]
fn who_is_connected_is_served_while_all_places_are_taken() {
    let mut siege = Siege::with(&["--peers-max", "200", "--peers-per-address-max", "20"]);
    let mut honest = Peer::open(siege.address, siege.log);
    let sources = (1..=50_u8).map(|last| Ipv4Addr::new(127, 0, 8, last));
    let crowd: Vec<TcpStream> = sources
        .flat_map(|source| (0..20).map(move |_| source))
        .map(|source| connect_from(source, siege.address).expect("it listens"))
        .collect();
    assert!(!is_served(&siege, Ipv4Addr::new(127, 0, 9, 1)), "the network has its 200 connections");
    assert!(get_block(&mut honest, &siege));
    siege.call(&[("count", json!([]))]);
    assert!(
        honest.hear_until(|message| matches!(message, Message::Range(_))).is_some(),
        "it hears of the call"
    );
    drop(crowd);
    let network = siege.end();
    assert!(network["refused"].as_u64() >= Some(801), "{network}");
}

#[test]
fn strangers_can_not_keep_a_replicator_from_its_host() {
    let siege = Siege::new();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (log, place) = (siege.log.url(), directory.path().display().to_string());
    let nobody = "127.0.0.1:9";
    let arguments = ["replicate", &log, "--dir", &place, "--peers-max", "3", "--peer-listen", "127.0.0.1:0"];
    let host = siege.address.to_string();
    let mut victim = Victim::start(arguments.iter().chain(&["--peer", &host, "--peer", nobody]));
    let copying = victim.event("copying");
    let address = copying["address"].as_str().expect("an address").trim_start_matches("tcp://");
    let address = address.parse().expect("an address");
    let crowd: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    // It has no place for others, and yet follows its host.
    let mut siege = siege;
    siege.call(&[("count", json!([]))]);
    assert!(crowd.iter().skip(3).all(|socket| is_cut_off(socket, PATIENCE)));
    drop(crowd);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(copy(siege.log, &[address], siege.length).length, siege.length);
    victim.terminate();
    siege.end();
}
