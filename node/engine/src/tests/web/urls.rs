//! URLs, over the data of the Web Platform Tests that the crate `url` was checked against, and our own cases for what is not in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use libvms_protocol::entry::Limits;

use super::name_of_thrown;
use crate::tests::{try_load, value};

#[test]
fn urls_are_parts_that_can_be_set() {
    for (expression, expected) in [
        (
            "(() => { const u = new URL('../c?q=1#h', 'https://user:pw@EXAMPLE.org:8443/a/b'); return [u.href, u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, String(u), JSON.stringify(u)] })()",
            "[\"https://user:pw@example.org:8443/c?q=1#h\",\"https://example.org:8443\",\"https:\",\"user\",\"pw\",\"example.org:8443\",\"example.org\",\"8443\",\"/c\",\"?q=1\",\"#h\",\"https://user:pw@example.org:8443/c?q=1#h\",\"\\\"https://user:pw@example.org:8443/c?q=1#h\\\"\"]",
        ),
        (
            "(() => { const u = new URL('http://a/'); u.protocol = 'https'; u.host = 'b:81'; u.hostname = 'c'; u.port = '82'; u.pathname = 'x y'; u.search = 'é'; u.hash = 'z'; u.username = 'me'; u.password = 'p@'; return u.href })()",
            "\"https://me:p%40@c:82/x%20y?%C3%A9#z\"",
        ),
        (
            "(() => { const u = new URL('http://a/?x=1&y=2'), p = u.searchParams; p.append('x', 'ä b'); p.delete('y'); const one = u.href; u.search = '?n=5'; const two = [...p]; u.href = 'http://b/?m=6'; return [one, two, p.get('m'), u.searchParams === p, p.size] })()",
            "[\"http://a/?x=1&x=%C3%A4+b\",[[\"n\",\"5\"]],\"6\",true,1]",
        ),
        (
            "[URL.canParse('http://a'), URL.canParse('a'), URL.canParse('a', 'http://b'), URL.parse('nope'), URL.parse('x', 'http://y').href]",
            "[true,false,true,null,\"http://y/x\"]",
        ),
        ("new URL('http://bücher.example/').host", "\"xn--bcher-kva.example\""),
        (
            "[String(new URLSearchParams('?a=1&b=%20+c&&d')), String(new URLSearchParams({ a: 1, b: 'x&y' })), String(new URLSearchParams([['a', 1], ['a', 2]])), String(new URLSearchParams(new URLSearchParams('q=1')))]",
            "[\"a=1&b=++c&d=\",\"a=1&b=x%26y\",\"a=1&a=2\",\"q=1\"]",
        ),
        (
            "(() => { const p = new URLSearchParams('b=1&a=2&b=3'); p.sort(); p.set('b', 'x'); p.set('c', 'y'); return [String(p), p.getAll('b'), p.has('a', '2'), p.has('a', '3'), [...p.keys()], [...p.values()], [...p.entries()].length, p.get('none')] })()",
            "[\"a=2&b=x&c=y\",[\"x\"],true,false,[\"a\",\"b\",\"c\"],[\"2\",\"x\",\"y\"],3,null]",
        ),
        (
            "(() => { const p = new URLSearchParams('a=1&b=2'), seen = []; p.forEach(function (value, name, all) { seen.push(name + value + (all === p) + this.t) }, { t: 't' }); const steps = p.entries(); return [seen, String(steps), typeof steps[Symbol.iterator], steps.constructor === Object || steps.constructor === Iterator] })()",
            "[[\"a1truet\",\"b2truet\"],\"[object URLSearchParams Iterator]\",\"function\",true]",
        ),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for (expression, name) in [
        ("new URL('nope')", "TypeError"),
        ("new URL()", "TypeError"),
        ("new URL('a', 'b')", "TypeError"),
        ("new URL('http://a').href = 'b'", "TypeError"),
        ("URL('http://a')", "TypeError"),
        ("new URLSearchParams([['a']])", "TypeError"),
        ("new URLSearchParams([1])", "TypeError"),
        ("new URLSearchParams().append('a')", "TypeError"),
        ("Object.getOwnPropertyDescriptor(URL.prototype, 'href').get.call({})", "TypeError"),
        ("new URL({ toString () { throw new RangeError('mine') } })", "RangeError"),
    ] {
        assert_eq!(name_of_thrown(expression), name, "{expression}");
    }
}

/// Where cargo has put the crate `url`, whose tests come with the data of the Web Platform Tests.
fn data(name: &str) -> String {
    let cargo =
        |arguments: &[&str]| Command::new(env!("CARGO")).args(arguments).output().expect("cargo runs");
    let version = String::from_utf8(cargo(&["-vV"]).stdout).expect("UTF-8");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo's platform");
    // Of other platforms' packages cargo may have no copies, and without the network it gets none.
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata = cargo(&[
        "metadata",
        "--offline",
        "--format-version=1",
        "--filter-platform",
        host,
        "--manifest-path",
        manifest,
    ]);
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let url = packages.iter().find(|package| package["name"] == "url").expect("a dependency");
    let manifest = Path::new(url["manifest_path"].as_str().expect("a path"));
    let path = manifest.with_file_name("tests").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const CHECKS: &str = "
    const show = (text) => '<' + JSON.stringify(text).slice(1, -1) + '>'
    const parts = ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash']
    const wrongs = (url, wanted) => parts.filter(part => wanted[part] !== undefined && url[part] !== wanted[part]).map(part => [part, url[part], wanted[part]])
    let count = 0
    exports.parse = () => parsing.filter(one => typeof one === 'object').flatMap(({ input, base, failure, searchParams, ...wanted }) => {
        count++
        const name = show(input) + (base === null || base === undefined ? '' : ' against ' + show(base))
        let url
        try { url = new URL(input, base ?? undefined) } catch { return failure ? [] : [[name, 'refused']] }
        if (failure) return [[name, 'accepted']]
        const wrong = wrongs(url, wanted)
        if (searchParams !== undefined && String(url.searchParams) !== searchParams) wrong.push('searchParams')
        return wrong.length > 0 ? [[name, wrong]] : []
    })
    exports.set = () => Object.keys(setting).filter(key => key !== 'comment').flatMap(attribute => setting[attribute].flatMap(({ href, new_value, expected }) => {
        count++
        const url = new URL(href)
        try { url[attribute] = new_value } catch {}
        const wrong = wrongs(url, expected)
        return wrong.length > 0 ? [[show(href) + ' set ' + attribute + ' to ' + show(new_value), wrong]] : []
    }))
    exports.count = () => count";

/// The crate's own list names what it does differently: mostly drive letters and empty hosts in `file:`.
#[test]
fn urls_are_those_of_the_web_platform_tests() {
    let code = format!(
        "const parsing = {}\nconst setting = {}\n{CHECKS}",
        data("urltestdata.json"),
        data("setters_tests.json")
    );
    let limits = Limits { fuel: 1 << 20, ..Limits::default() };
    let mut script = try_load(&code, limits).expect("a good script");
    let mut wrong: Vec<(String, serde_json::Value)> = vec![];
    for method in ["parse", "set"] {
        let found: Vec<(String, serde_json::Value)> =
            serde_json::from_str(&script.json(method)).expect("pairs");
        wrong.extend(found);
    }
    let count: u64 = script.json("count").parse().expect("a number");
    assert!(count > 1_000, "{count}");
    let known = data("expected_failures.txt");
    wrong.retain(|(name, _)| !known.lines().any(|line| line == name));
    assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
}
