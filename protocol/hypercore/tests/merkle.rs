//! `fixtures/merkle.json`: a log of 17 blocks, step by step.

use libvms_hypercore::blocks::Length;
use libvms_hypercore::signed_head::signable;
use libvms_hypercore::tree::{Node, Roots, index};
use serde_json::{Value, json};

use crate::golden::check_heads;
use crate::vector::{hex, items, number, read};

#[test]
fn every_step_has_the_roots_hash_and_signature_of_the_reference() {
    let vector = read("merkle.json");
    let steps = items(&vector["steps"]);
    let mut roots = Roots::default();
    for step in steps {
        let block = hex(&step["block"]);
        assert_eq!(step["leaf"], Node::leaf(roots.length().next_block(), &block).hash.to_string());
        roots.append(&block);
        let nodes: Vec<Value> =
            roots.nodes().iter().map(|node| json!([node.index, node.size, node.hash.to_string()])).collect();
        assert_eq!(Value::Array(nodes), step["roots"]);
        assert_eq!(
            json!(index::roots(Length(number(&step["length"]))).collect::<Vec<_>>()),
            step["rootIndexes"]
        );
        assert_eq!(hex(&step["signable"]), signable(roots.length(), 0, &roots.tree_hash()));
    }
    let blocks: Vec<Vec<u8>> = steps.iter().map(|step| hex(&step["block"])).collect();
    check_heads("merkle", &vector["seed"], &blocks, &vector["steps"]);
}
