//! Writes the seed corpus: messages of the JavaScript reference, in the input format of each target.
//!
//! `seeds FIXTURES CORPUS` reads the golden files and fills one folder for each target.

use std::fs;
use std::path::{Path, PathBuf};

// libFuzzer provides the symbols that the library's coverage counters need.
use libfuzzer_sys as _;
use libvms_protocol_fuzz::join;
use serde_json::{Value, json};

/// The names of messages in the golden file, in the order of their numbers.
const KINDS: [&str; 10] =
    ["sync", "request", "cancel", "data", "noData", "want", "unwant", "bitfield", "range", "extension"];

fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [fixtures, corpus] = &arguments[..] else { panic!("usage: seeds FIXTURES CORPUS") };
    let messages = messages(&fixtures.join("wire/messages.json"));
    for (number, (kind, body)) in messages.iter().enumerate() {
        write(corpus, "messages", number, &[&[*kind], &body[..]].concat());
    }
    // A machine leaves its first state only after several messages in a row, with answers between them.
    let script = messages.iter().flat_map(|(kind, body)| [(110, &[][..]), (*kind, &body[..]), (10, &[])]);
    write(corpus, "replicator", 0, &join(script));
    write(corpus, "replicator", 1, &join([110, 10, 10, 10, 10, 200, 10, 10].map(|choice| (choice, &[][..]))));
    for (number, sides) in transcripts(&fixtures.join("wire/transcripts")).iter().enumerate() {
        for (side, frames) in sides.iter().enumerate() {
            let script = join(frames.iter().map(|frame| (3, &frame[..])));
            write(corpus, "mux", 2 * number + side, &script);
            write(corpus, "session", 2 * number + side, &script);
        }
    }
    for (number, blocks) in drives(&fixtures.join("hyperdrive")).iter().enumerate() {
        write(corpus, "drive", number, &join(blocks.iter().map(|block| (0, &block[..]))));
    }
    datagrams(&fixtures.join("swarm"), corpus);
    for (number, proof) in examples("### proof of ").iter().enumerate() {
        write(corpus, "proofs", number, proof);
    }
    for (number, request) in requests(&read(&fixtures.join("callers/calls.json"))).iter().enumerate() {
        write(corpus, "requests", number, request.as_bytes());
    }
    // Each kind of stream: two honest turns, then messages both ways, then a frame that nobody has encrypted.
    for kind in 0..4 {
        let turns =
            [(kind, b"hello"), (0, b"     "), (0, b"     "), (100, b"a msg"), (150, b"reply"), (0, b"     ")];
        let script = turns.into_iter().chain([(200, b"\x02\x00\x00ab")]);
        write(
            corpus,
            "secret_stream",
            usize::from(kind),
            &join(script.map(|(choice, piece)| (choice, &piece[..]))),
        );
    }
    write(corpus, "frames", 0, &[200, 3, 0, 0, 1, 2, 3, 1, 0, 0, 9]);
}

fn write(corpus: &Path, target: &str, number: usize, bytes: &[u8]) {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    fs::write(folder.join(format!("seed-{number}")), bytes).expect("a seed");
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("golden files are JSON")
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap_or_default();
    let digits = hex.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn messages(path: &Path) -> Vec<(u8, Vec<u8>)> {
    let golden = read(path);
    let cases = (0..).zip(KINDS).flat_map(|(kind, name)| {
        let cases = golden[name].as_array().cloned().unwrap_or_default();
        cases.into_iter().map(move |case| (kind, bytes(&case["hex"])))
    });
    cases.filter(|(_, body)| body.len() < 2000).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// Returns the frames of each recorded session, by the side that sent them.
fn transcripts(folder: &Path) -> Vec<[Vec<Vec<u8>>; 2]> {
    files(folder).iter().map(|path| sides(&read(path))).collect()
}

fn sides(transcript: &Value) -> [Vec<Vec<u8>>; 2] {
    let frames = transcript["frames"].as_array().cloned().unwrap_or_default();
    ["a>b", "b>a"].map(|direction| {
        let sent = frames.iter().filter(|frame| frame["dir"] == direction);
        sent.map(|frame| bytes(&frame["hex"]))
            .filter(|frame| !frame.is_empty() && frame.len() < 4000)
            .collect()
    })
}

fn drives(folder: &Path) -> Vec<Vec<Vec<u8>>> {
    let blocks = |path: &PathBuf| {
        let golden = read(path);
        let blocks = golden["dbBlocks"].as_array().cloned().unwrap_or_default();
        blocks.iter().take(60).map(bytes).collect()
    };
    files(folder).iter().map(blocks).collect()
}

/// Writes inputs for the targets of the DHT and of streams.
fn datagrams(fixtures: &Path, corpus: &Path) {
    for (number, name) in ["open", "lan", "holepunch", "swarm"].iter().enumerate() {
        let transcript = read(&fixtures.join(format!("transcript-{name}.json")));
        let sent = transcript["datagrams"].as_array().cloned().unwrap_or_default();
        let sent: Vec<Vec<u8>> = sent.iter().map(|datagram| bytes(&datagram["hex"])).collect();
        // As from strangers, as answers to requests, and with time between them.
        for (kind, (stranger, answer)) in [(1, 130), (101, 130), (240, 240)].into_iter().enumerate() {
            let script = sent.iter().take(80).flat_map(|datagram| {
                let choice = if datagram.first() == Some(&0x13) { answer } else { stranger };
                [(choice, &datagram[..]), (250, &[][..])]
            });
            write(corpus, "dht", 3 * number + kind, &join(script));
        }
        let script = sent.iter().take(30).flat_map(|datagram| {
            let choice = match datagram.first() {
                Some(0x13) => 100,
                Some(0xff) => 180,
                _ => 5,
            };
            [(choice, &datagram[..]), (250, &[][..])]
        });
        write(corpus, "swarm", number, &join(script));
    }
    values(&read(&fixtures.join("hyperdht.json")), corpus);
    for (number, scenario) in array(&read(&fixtures.join("udx.json"))["scenarios"]).iter().enumerate() {
        let packets: Vec<Vec<u8>> =
            array(&scenario["packets"]).iter().map(|packet| bytes(&packet["hex"])).collect();
        for (kind, strike) in [(0, 170), (1, 200)] {
            let script = packets
                .iter()
                .take(60)
                .flat_map(|packet| [(0, &[1; 700][..]), (60, &[]), (strike, &packet[..]), (130, &[])]);
            write(corpus, "packets", 2 * number + kind, &join(script));
        }
    }
}

/// Writes values in messages, each after the number of its kind.
fn values(golden: &Value, corpus: &Path) {
    let lists =
        [("noisePayloads", 0, "hex"), ("handshakeEnvelopes", 1, "hex"), ("holepunchEnvelopes", 2, "hex")];
    let mut all: Vec<(u8, Vec<u8>)> = vec![];
    for (name, kind, field) in lists {
        all.extend(array(&golden[name]).iter().map(|case| (kind, bytes(&case[field]))));
    }
    all.extend(array(&golden["holepunchPayloads"]["cases"]).iter().map(|case| (3, bytes(&case["plain"]))));
    all.extend(array(&golden["holepunchPayloads"]["cases"]).iter().map(|case| (6, bytes(&case["box"]))));
    let replies = ["lookupReplyTwo", "lookupReplyBump", "lookupReplyOldWithoutBump"];
    all.extend(replies.map(|name| (4, bytes(&golden["records"][name]))));
    all.extend(array(&golden["announce"]["cases"]).iter().map(|case| (5, bytes(&case["value"]))));
    for (number, (kind, value)) in all.iter().enumerate() {
        write(corpus, "values", number, &[&[*kind], &value[..]].concat());
    }
    // Handshakes with these payloads, and packets for the streams that they open.
    let payloads = all.iter().filter(|(kind, _)| *kind == 0);
    let packet = [0xff, 1, 1, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7];
    let script =
        payloads.flat_map(|(_, payload)| [(142, &payload[..]), (143, payload), (180, &packet), (250, &[])]);
    write(corpus, "swarm", 10, &join(script));
}

/// Returns the worked examples of `FORMAT.md` under headings that begin with `heading`.
fn examples(heading: &str) -> Vec<Vec<u8>> {
    let sections = include_str!("../FORMAT.md").split(heading).skip(1);
    let blocks = sections.filter_map(|section| section.split_once("```hex\n")?.1.split_once("```"));
    let digits =
        |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().collect::<String>();
    blocks.map(|(block, _)| bytes(&Value::String(block.lines().map(digits).collect()))).collect()
}

fn array(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Returns requests with the signed calls of the golden file, and a batch of the first ones.
fn requests(golden: &Value) -> Vec<String> {
    let mut requests: Vec<String> = array(&golden["cases"]).iter().map(request).collect();
    let first: Vec<&str> = requests.iter().take(5).map(String::as_str).collect();
    requests.push(format!("[{}]", first.join(",")));
    requests
}

fn request(case: &Value) -> String {
    let call = &case["call"];
    let mut caller = json!({ "key": call["userId"], "nonce": call["nonce"], "sig": case["sig"] });
    for name in ["seen", "instead"] {
        if let Some(value) = call.get(name) {
            caller[name] = value.clone();
        }
    }
    let (method, args) = (&call["methodName"], &call["args"]);
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": args, "caller": caller, "receipt": true })
        .to_string()
}
