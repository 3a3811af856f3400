//! `fixtures/keys.json`: constants, keys of cores with and without a manifest, and the names of files.

use libvms_hypercore::drive::{Path, PathError};
use libvms_hypercore::hash::namespace;
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_hypercore::manifest::Manifest;

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

#[test]
fn manifests_have_the_keys_of_the_reference() {
    let vector = read("keys.json");
    assert_eq!(namespace("hyperdrive", 0).to_vec(), hex(&vector["namespaces"]["HYPERDRIVE_BLOBS"]));
    for key in items(&vector["keys"]).iter().filter(|key| key.get("manifestV1").is_some()) {
        let manifest = Manifest::decode(&hex(&key["manifestV1"])).expect("a manifest");
        assert_eq!(manifest.encode(), hex(&key["manifestV1"]));
        assert_eq!(manifest.key(), PublicKey(array(&key["manifestKey"])));
        assert_eq!(manifest.key().discovery_key().to_vec(), hex(&key["manifestDiscoveryKey"]));
        assert_eq!(manifest.for_blobs().encode(), hex(&key["driveBlobsManifest"]));
        assert_eq!(manifest.for_blobs().key(), PublicKey(array(&key["driveBlobsKey"])));
    }
}

#[test]
fn names_become_the_paths_of_the_reference() {
    for row in items(&read("keys.json")["normalizePath"]) {
        let path = Path::new(row[0].as_str().expect("a name"));
        match row[1]["error"].as_str() {
            None => assert_eq!(
                path.as_ref().map(Path::as_str),
                Ok(row[1].as_str().expect("a path")),
                "{}",
                row[0]
            ),
            Some("Invalid filename: /") => assert_eq!(path, Err(PathError::Root), "{}", row[0]),
            Some(_) => assert_eq!(path, Err(PathError::AboveRoot), "{}", row[0]),
        }
    }
}
