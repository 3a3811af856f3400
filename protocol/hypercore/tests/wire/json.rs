//! Messages in the JSON form of the vectors.

use libvms_hypercore::blocks::{BlockIndex, Length};
use libvms_hypercore::tree::{Hash, Node};
use libvms_hypercore::wire::message::{
    Bitfield, Cancel, Data, DataBlock, DataHash, DataSeek, DataUpgrade, Extension, Message, NoData, Range,
    Reason, Region, Request, RequestBlock, RequestNode, RequestSeek, RequestUpgrade, Sync,
};
use serde_json::Value;

use crate::vector::{array, hex, items, number};

/// The kinds, in the order of their numbers.
pub(super) const KINDS: [&str; 10] =
    ["sync", "request", "cancel", "data", "noData", "want", "unwant", "bitfield", "range", "extension"];

/// Returns the message that the reference has decoded. `manifest` are the bytes of its manifest: they end the message.
pub(super) fn message(kind: &str, value: &Value, manifest: Option<Vec<u8>>) -> Message {
    match kind {
        "sync" => Message::Sync(sync(value)),
        "request" => Message::Request(request(value)),
        "cancel" => Message::Cancel(Cancel { request: number(&value["request"]) }),
        "data" => Message::Data(data(value, manifest)),
        "noData" => {
            let (request, reason) = (number(&value["request"]), Reason(number(&value["reason"])));
            Message::NoData(NoData { request, reason })
        }
        "want" => Message::Want(region(value)),
        "unwant" => Message::Unwant(region(value)),
        "bitfield" => {
            let words = items(&value["bitfield"]).iter().map(|word| number(word) as u32).collect();
            Message::Bitfield(Bitfield { start: BlockIndex(number(&value["start"])), words })
        }
        "range" => {
            let (start, length) = (number(&value["start"]), number(&value["length"]));
            Message::Range(Range { drop: flag(&value["drop"]), start: BlockIndex(start), length })
        }
        "extension" => {
            let name = value["name"].as_str().expect("a name").to_owned();
            Message::Extension(Extension { name, message: hex(&value["message"]) })
        }
        _ => panic!("{kind}"),
    }
}

fn sync(value: &Value) -> Sync {
    Sync {
        fork: number(&value["fork"]),
        length: Length(number(&value["length"])),
        remote_length: Length(number(&value["remoteLength"])),
        can_upgrade: flag(&value["canUpgrade"]),
        uploading: flag(&value["uploading"]),
        downloading: flag(&value["downloading"]),
        has_manifest: flag(&value["hasManifest"]),
        allow_push: flag(&value["allowPush"]),
    }
}

fn request(value: &Value) -> Request {
    let block = |value: &Value| RequestBlock {
        index: BlockIndex(number(&value["index"])),
        nodes: number(&value["nodes"]),
    };
    let node = |value: &Value| RequestNode { index: number(&value["index"]), nodes: number(&value["nodes"]) };
    let seek =
        |value: &Value| RequestSeek { bytes: number(&value["bytes"]), padding: number(&value["padding"]) };
    let upgrade = |value: &Value| RequestUpgrade {
        start: Length(number(&value["start"])),
        length: number(&value["length"]),
    };
    Request {
        id: number(&value["id"]),
        fork: number(&value["fork"]),
        block: part(&value["block"]).map(block),
        hash: part(&value["hash"]).map(node),
        seek: part(&value["seek"]).map(seek),
        upgrade: part(&value["upgrade"]).map(upgrade),
        manifest: flag(&value["manifest"]),
        priority: number(&value["priority"]),
    }
}

fn data(value: &Value, manifest: Option<Vec<u8>>) -> Data {
    let block = |value: &Value| DataBlock {
        index: BlockIndex(number(&value["index"])),
        value: hex(&value["value"]),
        nodes: nodes(&value["nodes"]),
    };
    let hash = |value: &Value| DataHash { index: number(&value["index"]), nodes: nodes(&value["nodes"]) };
    let seek = |value: &Value| DataSeek { bytes: number(&value["bytes"]), nodes: nodes(&value["nodes"]) };
    let upgrade = |value: &Value| DataUpgrade {
        start: Length(number(&value["start"])),
        length: number(&value["length"]),
        nodes: nodes(&value["nodes"]),
        additional_nodes: nodes(&value["additionalNodes"]),
        signature: part(&value["signature"]).map(hex).unwrap_or_default(),
    };
    Data {
        request: number(&value["request"]),
        fork: number(&value["fork"]),
        block: part(&value["block"]).map(block),
        hash: part(&value["hash"]).map(hash),
        seek: part(&value["seek"]).map(seek),
        upgrade: part(&value["upgrade"]).map(upgrade),
        manifest: part(&value["manifest"]).and(manifest),
    }
}

fn region(value: &Value) -> Region {
    Region {
        start: BlockIndex(number(&value["start"])),
        length: number(&value["length"]),
        any: flag(&value["any"]),
    }
}

fn nodes(value: &Value) -> Vec<Node> {
    let node = |node: &Value| Node {
        index: number(&node["index"]),
        size: number(&node["size"]),
        hash: Hash(array(&node["hash"])),
    };
    items(value).iter().map(node).collect()
}

fn flag(value: &Value) -> bool {
    value.as_bool().expect("true or false")
}

fn part(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}
