#![allow(missing_docs)]
//! temporary
use crate::tree::Node;
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BlockRequest { pub index: u64, pub nodes: u64 }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SeekRequest { pub bytes: u64, pub padding: u64 }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UpgradeRequest { pub start: u64, pub length: u64 }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Request { pub id: u64, pub fork: u64, pub block: Option<BlockRequest>, pub hash: Option<BlockRequest>, pub seek: Option<SeekRequest>, pub upgrade: Option<UpgradeRequest>, pub manifest: bool, pub priority: u64 }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataBlock { pub index: u64, pub value: Vec<u8>, pub nodes: Vec<Node> }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataHash { pub index: u64, pub nodes: Vec<Node> }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataSeek { pub bytes: u64, pub nodes: Vec<Node> }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DataUpgrade { pub start: u64, pub length: u64, pub nodes: Vec<Node>, pub additional_nodes: Vec<Node>, pub signature: Option<Vec<u8>> }
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Data { pub request: u64, pub fork: u64, pub block: Option<DataBlock>, pub hash: Option<DataHash>, pub seek: Option<DataSeek>, pub upgrade: Option<DataUpgrade>, pub manifest: Option<()> }
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sync { pub fork: u64, pub length: u64, pub remote_length: u64, pub can_upgrade: bool, pub uploading: bool, pub downloading: bool, pub has_manifest: bool, pub allow_push: bool }
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Sync(Sync), Request(Request), Cancel{request: u64}, Data(Data), NoData{request: u64, reason: u64},
    Want{start: u64, length: u64, any: bool}, Unwant{start: u64, length: u64, any: bool}, Bitfield{start: u64, words: Vec<u32>}, Range{drop: bool, start: u64, length: u64},
    Extension{name: String, message: Vec<u8>},
}
