//! Datagrams that are meant to do harm.

use std::net::Ipv4Addr;
use std::time::Duration;

use libvms_hypercore::encoding::Writer;
use libvms_hypercore::random::Dice;
use libvms_hyperswarm::dht_rpc::{
    Action, Address, Command, ErrorCode, Message, MessageError, NodeId, QuerySpec, Request, RequestSpec,
    RetryPolicy, Socket, Target, Token,
};
use proptest::prelude::*;

use super::behaviour::{Lone, ask, response};

fn node(number: u32) -> Address {
    Address::new(Ipv4Addr::from(0x0808_0808 + 256 * number), 4_000)
}

fn done(lone: &Lone) -> Vec<&Action> {
    lone.events.iter().filter(|event| matches!(event, Action::RequestDone { .. })).collect()
}

/// Returns the only request among the datagrams that a node sent.
fn request_in(sent: &[(Address, Vec<u8>)]) -> Request {
    let requests = sent.iter().filter_map(|(_, bytes)| match Message::decode(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    });
    let requests: Vec<Request> = requests.collect();
    assert_eq!(requests.len(), 1);
    requests[0].clone()
}

#[test]
fn answers_with_a_wrong_address_or_number_are_ignored() {
    let mut lone = Lone::new(|_| {});
    let (asked, stranger) = (node(1), node(2));
    lone.node.start_request(lone.now, RequestSpec::new(asked, Command::PING));
    let sent = lone.sent();
    let request = request_in(&sent);
    let answer = response(&request, lone.own, None, Vec::new());
    let mut other = answer.clone();
    other.tid = other.tid.wrapping_add(1);
    lone.send(stranger, &answer.encode());
    lone.send(asked.with_port(4_001), &answer.encode());
    lone.send(asked, &other.encode());
    assert!(done(&lone).is_empty());
    lone.send(asked, &answer.encode());
    assert!(
        matches!(done(&lone)[..], [Action::RequestDone { result: Ok(answer), .. }] if answer.from == asked)
    );
    // No request waits any more.
    lone.send(asked, &answer.encode());
    assert_eq!(done(&lone).len(), 1);
}

#[test]
fn unsolicited_answers_do_not_enter_the_table() {
    let mut lone = Lone::new(|_| {});
    for tid in 0..=u16::MAX {
        let request = Request { tid, ..ask(Command::PING, None) };
        let answer = response(&request, lone.own, Some(NodeId::of(&node(1))), vec![node(2)]);
        assert!(lone.send(node(1), &answer.encode()).is_empty());
    }
    assert_eq!(lone.node.table_len(), 0);
    assert!(lone.events.is_empty());
}

/// It claims no id, or that of another address.
#[test]
fn a_node_without_its_own_id_is_answered_but_not_remembered() {
    for id in [None, Some(NodeId([9; 32])), Some(NodeId::of(&node(2)))] {
        let mut lone = Lone::new(|_| {});
        lone.node.start_request(lone.now, RequestSpec::new(node(1), Command::PING));
        let request = request_in(&lone.sent());
        lone.send(node(1), &response(&request, lone.own, id, Vec::new()).encode());
        assert!(
            matches!(done(&lone)[..], [Action::RequestDone { result: Ok(answer), .. }] if answer.id.is_none())
        );
        assert_eq!(lone.request(node(1), &ask(Command::PING, id)).len(), 1, "the answer, and no question");
        assert_eq!(lone.node.table_len(), 0);
    }
}

#[test]
fn forged_senders_do_not_fill_the_table_and_get_few_pings() {
    let mut lone = Lone::new(|_| {});
    let mut questions = 0;
    for number in 0..5_000 {
        let sent = lone.request(node(number), &ask(Command::PING, Some(NodeId::of(&node(number)))));
        questions += sent.iter().filter(|(_, bytes)| bytes[0] == 0x03).count();
    }
    assert!(questions <= 64, "{questions}");
    lone.pass(10_000);
    assert_eq!(lone.node.table_len(), 0);
    // Nodes that are there are taken all the same, afterwards.
    lone.introduce(node(1));
    assert!(lone.knows(node(1)));
}

#[test]
fn a_token_is_valid_for_its_host_only_and_not_for_long() {
    let mut lone = Lone::new(|config| config.served = 0..11);
    let store = |token: Token| Request {
        token: Some(token),
        target: Some(Target([1; 32])),
        ..ask(Command::External(4), None)
    };
    let token_for = |lone: &mut Lone, from: Address| {
        let sent = lone.request(from, &ask(Command::External(3), None));
        let Ok(Message::Response(answer)) = Message::decode(&sent[0].1) else { panic!("an answer") };
        answer.token.expect("a token")
    };
    let error = |lone: &mut Lone, from: Address, request: &Request| {
        let sent = lone.request(from, request);
        let Ok(Message::Response(answer)) = Message::decode(&sent[0].1) else { panic!("an answer") };
        assert!(answer.token.is_some(), "a fresh one comes along");
        answer.error
    };
    let token = token_for(&mut lone, node(1));
    assert_eq!(error(&mut lone, node(1), &store(token)), None);
    assert_eq!(error(&mut lone, node(1).with_port(5), &store(token)), None);
    assert_eq!(error(&mut lone, node(2), &store(token)), Some(ErrorCode::INVALID_TOKEN));
    assert_eq!(error(&mut lone, node(1), &store(Token([0; 32]))), Some(ErrorCode::INVALID_TOKEN));
    lone.now += Duration::from_millis(7_500);
    assert_eq!(error(&mut lone, node(1), &store(token)), None);
    lone.now += Duration::from_millis(7_500);
    assert_eq!(error(&mut lone, node(1), &store(token)), Some(ErrorCode::INVALID_TOKEN));
}

#[test]
fn bytes_to_a_forged_sender_stay_within_the_stated_multiple() {
    let mut lone = Lone::new(|config| config.served = 0..2);
    (0..200).for_each(|number| lone.introduce(node(1_000 + number)));
    let victim = node(1);
    let requests = [
        ask(Command::PING, None),
        ask(Command::Internal(9), None),
        ask(Command::External(77), None),
        Request { target: Some(Target([1; 32])), ..ask(Command::FIND_NODE, None) },
        Request { target: Some(Target([1; 32])), ..ask(Command::External(0), None) },
        Request { token: Some(Token([1; 32])), target: Some(Target([1; 32])), ..ask(Command::PING, None) },
        ask(Command::External(1), None),
    ];
    let (mut received, mut answered, start) = (0, 0, lone.now);
    for round in 0..20_000 {
        let request = &requests[round % requests.len()];
        received += request.encode().len();
        answered += lone.request(victim, request).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        lone.now += Duration::from_millis(u64::from(round % 10 == 0));
    }
    let seconds = (lone.now - start).as_secs() as usize;
    assert!(answered <= 5 * received + 65_536 + 8_192 * (seconds + 1), "{answered} for {received}");
    // The count is bounded too: 2,000 at once and 500 per second.
    assert!(answered < (2_000 + 500 * (seconds + 1)) * 300);
    // Other hosts are answered meanwhile.
    assert_eq!(lone.request(node(2), &requests[0]).len(), 1);
}

#[test]
fn large_answers_to_forged_senders_stop_soon() {
    let mut lone = Lone::new(|config| config.served = 3..4);
    let lookup = Request { target: Some(Target([1; 32])), ..ask(Command::External(3), None) }.encode();
    let mut sent = 0;
    for _ in 0..1_000 {
        lone.node.handle_datagram(lone.now, Socket::Server, node(1), &lookup).expect("a request");
        while let Some(action) = lone.node.poll_action() {
            match action {
                Action::Request(incoming) => {
                    let reply = libvms_hyperswarm::dht_rpc::Reply::found(Some(vec![1; 1_000]));
                    lone.node.reply(lone.now, incoming.handle, reply);
                }
                Action::Send { bytes, .. } => sent += bytes.len(),
                _ => {}
            }
        }
    }
    assert!(sent > 60_000 && sent < 65_536 + 1_000 * 5 * lookup.len(), "{sent}");
    assert!(sent < 100_000, "{sent}");
}

#[test]
fn delayed_answers_are_bounded() {
    let mut lone = Lone::new(|_| {});
    let delayed =
        Request { value: Some(10_000_u32.to_le_bytes().to_vec()), ..ask(Command::DELAYED_PING, None) };
    for number in 0..3_000 {
        assert!(lone.request(node(number), &delayed).is_empty());
    }
    lone.now += Duration::from_millis(10_000);
    lone.node.handle_timeout(lone.now);
    assert_eq!(lone.sent().len(), 1_024);
}

/// Other nodes keep theirs.
#[test]
fn a_crowd_on_one_machine_takes_few_places_in_the_table() {
    let mut lone = Lone::new(|_| {});
    (1..500).for_each(|port| lone.introduce(node(0).with_port(port)));
    assert_eq!(lone.node.table_len(), 10);
    (1..40).for_each(|number| lone.introduce(node(number)));
    assert!(lone.node.table_len() > 40, "{}", lone.node.table_len());
}

#[test]
fn hints_remove_only_nodes_that_are_gone() {
    let mut lone = Lone::new(|_| {});
    (0..30).for_each(|number| lone.introduce(node(number)));
    lone.pass(6_000);
    let hint = |gone: Address| {
        let mut value = Writer::default();
        gone.encode(&mut value);
        Request { value: Some(value.finish()), ..ask(Command::DOWN_HINT, None) }
    };
    let mut asked = Vec::new();
    for number in 0..30 {
        asked.extend(
            lone.request(node(99), &hint(node(number))).into_iter().filter(|(to, _)| *to != node(99)),
        );
    }
    assert_eq!(asked.len(), 10, "at most ten at once");
    lone.now += Duration::from_millis(10);
    let (alive, bytes) = asked[0].clone();
    lone.answer(alive, &bytes, Some(NodeId::of(&alive)), Vec::new());
    lone.pass(3_000);
    assert!(lone.knows(alive));
    assert_eq!(lone.node.table_len(), 21);
}

#[test]
fn a_query_ends_though_every_answer_leads_to_more_nodes() {
    let mut lone = Lone::new(|_| {});
    lone.introduce(node(1));
    let target = Target([7; 32]);
    let query = lone.node.start_query(lone.now, QuerySpec::new(target, Command::FIND_NODE));
    let (mut waiting, mut asked, mut invented) = (lone.sent(), 0, 10_000);
    while let Some((to, bytes)) = waiting.pop() {
        asked += 1;
        // Each names nodes that are closer than itself, as far as chance allows.
        let mut closer: Vec<Address> = (0..60).map(|number| node(invented + number)).collect();
        invented += 60;
        closer.sort_by_key(|address| NodeId::of(address).distance(&target));
        // No id: so nobody is ever close enough to end the query.
        waiting.extend(lone.answer(to, &bytes, None, closer));
    }
    lone.pass(3_000);
    assert_eq!(asked, 512);
    assert!(
        lone.events
            .iter()
            .any(|event| matches!(event, Action::QueryDone { query: done, .. } if *done == query))
    );
}

#[test]
fn nothing_is_sent_to_port_0() {
    let mut lone = Lone::new(|_| {});
    let nobody = node(1).with_port(0);
    assert!(lone.request(nobody, &ask(Command::PING, Some(NodeId::of(&nobody)))).is_empty());
    lone.introduce(node(2));
    lone.node.start_query(lone.now, QuerySpec::new(Target([7; 32]), Command::FIND_NODE));
    for (to, bytes) in lone.sent() {
        let sent = lone.answer(to, &bytes, None, vec![nobody, lone.own, node(3)]);
        assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), vec![node(3)]);
    }
}

#[test]
fn datagrams_that_are_not_messages_have_no_effect() {
    let mut lone = Lone::new(|_| {});
    for bytes in [&[][..], &[0], &[0xff, 1, 0, 0], &[0x23, 0, 0]] {
        let result = lone.node.handle_datagram(lone.now, Socket::Server, node(1), bytes);
        assert_eq!(result, Err(MessageError::Foreign));
    }
    assert!(lone.sent().is_empty());
}

#[test]
fn thousands_of_requests_are_refused_instead_of_kept() {
    let mut lone = Lone::new(|_| {});
    for number in 0..5_000 {
        let spec =
            RequestSpec { patience: RetryPolicy::ONCE, ..RequestSpec::new(node(number), Command::PING) };
        lone.node.start_request(lone.now, spec);
    }
    assert_eq!(lone.sent().len(), 80, "the rate of the first 0.75 seconds");
    assert_eq!(done(&lone).len(), 5_000 - 4_096);
    let later = lone.pass(3_000).len();
    assert!(later <= 240, "{later}");
}

#[test]
fn random_datagrams_do_no_harm() {
    let mut lone = Lone::new(|config| config.served = 0..11);
    let mut dice = Dice::new(77);
    for round in 0..20_000 {
        let length = dice.index(90);
        let mut bytes: Vec<u8> = dice.bytes(length);
        if let Some(first) = bytes.first_mut() {
            *first = [0x03, 0x13, *first][round % 3];
        }
        if let Some(flags) = bytes.get_mut(1) {
            *flags &= 0x1f;
        }
        let from = Address::new(Ipv4Addr::from(dice.draw() as u32), dice.draw() as u16);
        let sent = lone.send(from, &bytes);
        assert!(sent.len() <= 2);
        lone.pass(dice.below(20));
    }
    assert_eq!(lone.node.table_len(), 0);
}

proptest! {
    #[test]
    fn accepted_datagrams_round_trip(
        mut bytes in proptest::collection::vec(any::<u8>(), 10..300),
        kind in 0..2_usize,
    ) {
        bytes[0] = [0x03, 0x13][kind];
        bytes[1] &= 0x1f;
        if let Ok(message) = Message::decode(&bytes) {
            let again = message.encode();
            prop_assert!(again.len() <= bytes.len());
            prop_assert_eq!(Message::decode(&again), Ok(message));
        }
    }
}
