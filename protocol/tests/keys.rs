//! `fixtures/keys.json`: constants and discovery keys.

use libvms_protocol::identity::{PublicKey, SecretKey};
use libvms_protocol::tree::hash::namespace;

use crate::vector::{array, hex, items, read};

#[test]
fn constants_and_keys_are_those_of_the_reference() {
    let vector = read("keys.json");
    let names = [("TREE", 0), ("REPLICATE_INITIATOR", 1), ("REPLICATE_RESPONDER", 2), ("MANIFEST", 3)];
    for (name, index) in names {
        assert_eq!(namespace("hypercore", index).to_vec(), hex(&vector["namespaces"][name]), "{name}");
    }
    for key in items(&vector["keys"]) {
        let public = PublicKey(array(&key["compatKey"]));
        assert_eq!(public.discovery_key().to_vec(), hex(&key["compatDiscoveryKey"]));
        if let Some(seed) = key.get("seed") {
            assert_eq!(SecretKey::from_seed(&array(seed)).public_key(), public);
        }
    }
}
