//! Files are read with GET, without a call: `/files/NAME` below the path of a service.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{Host, TestService, program, run, text, vms};

const SCRIPT: &str = "exports.write = (path, content) => System.files.writeFile(path, content)
exports.fill = (path, count) => System.files.writeFile(path, '0123456789'.repeat(count))
exports.many = (folder, from, to) => { for (let i = from; i < to; i++) System.files.writeFile(`${folder}/${i}`, '') }
exports.remove = (path) => System.files.unlink(path)";

/// An answer of a host.
pub(crate) struct Answer {
    status: u16,
    /// Lines in lower case.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends one request, which may be nonsense, and reads until the host ends the connection.
fn ask(host: &Host, method: &str, path: &str, headers: &[&str]) -> Answer {
    let address = address(host);
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for header in headers {
        write!(request, "{header}\r\n").expect("a String takes everything");
    }
    let mut stream = TcpStream::connect(&address).expect("it listens");
    stream.write_all(format!("{request}\r\n").as_bytes()).expect("it reads");
    let mut answer = vec![];
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = text(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

pub(crate) fn get(host: &Host, path: &str) -> Answer {
    ask(host, "GET", path, &[])
}

fn address(host: &Host) -> String {
    host.url().trim_start_matches("ws://").split('/').next().expect("an address").to_owned()
}

#[test]
fn what_was_answered_is_read_without_a_trace() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        for round in 0..200 {
            client.call("write", json!(["/notes/a.txt", round.to_string()])).await;
            let answer = get(&host, "/files/notes/a.txt");
            assert_eq!((answer.status, text(&answer.body)), (200, round.to_string().as_str()));
            assert_eq!(answer.header("etag"), Some(format!("\"{}\"", round + 2).as_str()));
        }
        client.call("remove", json!(["/notes/a.txt"])).await;
        assert_eq!(get(&host, "/files/notes/a.txt").status, 404);
        client.call("write", json!(["/notes/a.txt", "again"])).await;
        assert!(host.terminate().success());
        assert_eq!(place.log().len(), 203, "reading is no call");
        // After a restart it is what it was.
        let host = place.host();
        assert_eq!(text(&get(&host, "/files/notes/a.txt").body), "again");
        assert_eq!(get(&host, "/files/notes/a.txt").header("etag"), Some("\"203\""));
    });
    place.assert_agrees();
}

#[test]
fn a_browser_is_told_to_run_nothing() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        let nasty = "a\"b\r\nSet-Cookie: c=d;\u{202e}é.html";
        client.call("write", json!([format!("/{nasty}"), "<script>alert(1)</script>"])).await;
        client.call("write", json!(["/x.svg", "<svg/>"])).await;
        let escaped = "a%22b%0D%0ASet-Cookie%3A%20c%3Dd%3B%E2%80%AE%C3%A9.html";
        let answer = get(&host, &format!("/files/{escaped}"));
        assert_eq!((answer.status, text(&answer.body)), (200, "<script>alert(1)</script>"));
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", "default-src 'none'; sandbox"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-cache"),
            (
                "content-disposition",
                &format!("attachment; filename*=utf-8''{}", escaped.to_ascii_lowercase()),
            ),
            ("content-length", "25"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{}", answer.head);
        }
        assert_eq!(answer.header("set-cookie"), None);
        let listed = get(&host, "/files/");
        assert_eq!(listed.header("content-security-policy"), Some("default-src 'none'; sandbox"));
        assert_eq!(get(&host, "/files/x.svg").header("content-type"), Some("image/svg+xml"));
        // What is not there is named, and does nothing in a terminal or a page either.
        let missing = get(&host, "/files/%1B%5B2J%0A%3Cscript%3E");
        assert_eq!((missing.status, missing.header("x-content-type-options")), (404, Some("nosniff")));
        assert_eq!(text(&missing.body), "there is no file `/\\u{1b}[2J\\n<script>`\n");
    });
}

#[test]
fn parts_and_versions_are_asked_for() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        // Three blocks of the archive and a bit.
        client.call("fill", json!(["/big", 20_000])).await;
        client.call("write", json!(["/empty", ""])).await;
        let whole = get(&host, "/files/big");
        assert_eq!((whole.status, whole.header("content-length")), (200, Some("200000")));
        assert!(whole.body.iter().zip(0..).all(|(byte, at)| *byte == b'0' + (at % 10) as u8));
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
        for (range, from, to) in [
            ("0-0", 0, 1),
            ("65530-65545", 65_530, 65_546),
            ("65536-131071", 65_536, 131_072),
            ("1-", 1, 200_000),
            ("-7", 199_993, 200_000),
            ("199999-999999", 199_999, 200_000),
        ] {
            let part = ask(&host, "GET", "/files/big", &[&format!("Range: bytes={range}")]);
            assert_eq!(part.status, 206, "{range}");
            assert_eq!(part.body, whole.body[from..to], "{range}");
            let expected = format!("bytes {from}-{}/200000", to - 1);
            assert_eq!(part.header("content-range"), Some(expected.as_str()));
        }
        let beyond = ask(&host, "GET", "/files/big", &["Range: bytes=200000-"]);
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */200000")));
        for ignored in ["bytes=0-1,5-6", "bytes=5-1", "lines=0-1", "bytes=x"] {
            assert_eq!(ask(&host, "GET", "/files/big", &[&format!("Range: {ignored}")]).body.len(), 200_000);
        }
        let tag = whole.header("etag").expect("a tag");
        assert_eq!(tag, "\"2\"");
        for known in [tag, "W/\"2\"", "*", "\"1\", \"2\""] {
            let answer = ask(&host, "GET", "/files/big", &[&format!("If-None-Match: {known}")]);
            assert_eq!(
                (answer.status, answer.body.len(), answer.header("etag")),
                (304, 0, Some(tag)),
                "{known}"
            );
        }
        assert_eq!(ask(&host, "GET", "/files/big", &["If-None-Match: \"1\""]).status, 200);
        let stale = ask(&host, "GET", "/files/big", &["Range: bytes=0-1", "If-Range: \"1\""]);
        assert_eq!((stale.status, stale.body.len()), (200, 200_000));
        let fresh = ask(&host, "GET", "/files/big", &["Range: bytes=0-1", "If-Range: \"2\""]);
        assert_eq!((fresh.status, fresh.body.len()), (206, 2));
        let head = ask(&host, "HEAD", "/files/big", &["Range: bytes=0-1"]);
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("200000"), 0));
        assert_eq!(ask(&host, "HEAD", "/files/none", &[]).status, 404);
        let empty = get(&host, "/files/empty");
        assert_eq!((empty.status, empty.header("content-length"), empty.body.len()), (200, Some("0"), 0));
        assert_eq!(ask(&host, "GET", "/files/empty", &["Range: bytes=0-"]).status, 416);
    });
}

#[test]
fn folders_are_listed_page_by_page() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        let empty = get(&host, "/files/");
        assert_eq!(empty.json(), json!({ "path": "/", "version": 1, "entries": [] }));
        client.call("write", json!(["/notes/a.txt", "first"])).await;
        client.call("write", json!(["/notes/b/c", ""])).await;
        client.call("write", json!(["/top", "x"])).await;
        let root = get(&host, "/files");
        assert_eq!(
            (root.status, root.header("content-type"), root.header("etag")),
            (200, Some("application/json"), Some("\"4\""))
        );
        assert_eq!(
            root.json()["entries"],
            json!([
                { "path": "/notes", "folder": true },
                { "path": "/top", "size": 1, "version": 4 }
            ])
        );
        for path in ["/files/notes", "/files/notes/"] {
            let listed = get(&host, path).json();
            assert_eq!(listed["path"], "/notes");
            assert_eq!(listed["entries"][0], json!({ "path": "/notes/a.txt", "size": 5, "version": 2 }));
        }
        assert_eq!(get(&host, "/files/top").body, b"x");
        assert_eq!(get(&host, "/files/top/").status, 404, "a file is no folder");
        assert_eq!(ask(&host, "GET", "/files", &["If-None-Match: \"4\""]).status, 304);
        for from in (0..2_500).step_by(500) {
            client.call("many", json!(["/many é", from, from + 500])).await;
        }
        let (mut path, mut names) = ("/files/many%20%C3%A9/".to_owned(), vec![]);
        loop {
            let page = get(&host, &path).json();
            let entries = page["entries"].as_array().expect("a list");
            assert!(entries.len() <= 1_000);
            names.extend(entries.iter().map(|entry| entry["path"].as_str().expect("a path").to_owned()));
            match page["next"].as_str() {
                Some(next) => path = format!("/files/many%20%C3%A9/{next}"),
                None => break,
            }
        }
        let mut expected: Vec<String> = (0..2_500).map(|number| format!("/many é/{number}")).collect();
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(get(&host, "/files/many%20%C3%A9/?after=%ff").status, 400);
    });
}

#[test]
fn names_are_read_in_one_way_only() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("write", json!(["/a/b", "x"])).await;
        client.call("write", json!(["/%2e%2e", "dots"])).await;
        client.call("write", json!(["/ü +", "plus"])).await;
        for path in [
            "/files//a/b",
            "/files/a//b",
            "/files/a/./b",
            "/files/a/../a/b",
            "/files/../../etc/passwd",
            "/files/%2e%2e/log/data",
            "/files/a%2Fb",
            "/files/a%5Cb",
            "/files/a\\b",
            "/files/a/b%00",
            "/files/%",
            "/files/a/%zz",
            "/files/%c3",
            &format!("/files/{}", "x".repeat(5_000)),
        ] {
            let answer = get(&host, path);
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.body.starts_with(b"the name "), "{path}: {}", text(&answer.body));
        }
        for path in
            ["/files/none", "/files/a/b/c", "/files/%2Fa", "/filesystem/a", "/log/data", "/files/a/b%20"]
        {
            assert!(matches!(get(&host, path).status, 400 | 404), "{path}");
        }
        assert_eq!(get(&host, "/files/%252e%252e").body, b"dots");
        assert_eq!(get(&host, "/files/%61/%62").body, b"x");
        assert_eq!(get(&host, "/files/%C3%BC%20+?user=bob").body, b"plus");
    });
}

#[test]
fn files_are_only_read_and_only_by_welcome_pages() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host_with(&["--allow-origin", "https://example.com"]);
        host.client().await.call("write", json!(["/a", "x"])).await;
        for method in ["POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
            let answer = ask(&host, method, "/files/a", &["Content-Length: 0"]);
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("get, head, options")),
                "{method}"
            );
        }
        let welcome = "Origin: https://example.com";
        let preflight = ask(&host, "OPTIONS", "/files/a", &[welcome]);
        assert_eq!(preflight.status, 204);
        assert!(preflight.header("access-control-allow-headers").expect("a list").contains("range"));
        let answer = ask(&host, "GET", "/files/a", &[welcome]);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.com"));
        assert!(answer.header("access-control-expose-headers").expect("a list").contains("etag"));
        for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
            let answer =
                ask(&host, method, "/files/a", &["Origin: https://evil.example", "Content-Length: 0"]);
            assert_eq!(answer.status, 403, "{method}");
        }
        assert_eq!(place.log().len(), 2);
    });
}

#[test]
fn each_service_shows_its_own_files() {
    let place = TestService::new(SCRIPT);
    // A script of this name is served where the files of a service at `/` would be.
    let directory = place.data();
    std::fs::create_dir(&directory).expect("writable");
    let scripts = ["files.js", "other.js"].map(|name| directory.join(name));
    scripts.iter().for_each(|script| std::fs::write(script, SCRIPT).expect("writable"));
    run(async {
        let mut command = program();
        let host = Host::start(command.arg("host").args(&scripts).arg("--dir").arg(directory.join("data")));
        for announced in &host.announced {
            let url = announced["url"].as_str().expect("a URL");
            let written = vms(["call", url, "write", "/name", url]);
            assert!(written.status.success(), "{}", text(&written.stderr));
            let path = format!("/{}/files/name", url.rsplit('/').next().expect("a path"));
            assert_eq!(text(&get(&host, &path).body), url);
        }
        assert_eq!(get(&host, "/files/name").status, 404);
        assert_eq!(get(&host, "/none/files/name").status, 404);
        assert_eq!(get(&host, "/files").status, 426, "a service is mounted there");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_file_is_never_in_memory_as_a_whole() {
    let place = TestService::new(SCRIPT);
    run(async {
        let host = place.host_with(&["--output", "80000000", "--memory", "300000000", "--fuel", "100000"]);
        host.client().await.call("fill", json!(["/big", 2_000_000])).await;
        let whole = get(&host, "/files/big");
        assert_eq!(whole.body.len(), 20_000_000);
        let before = crate::support::memory(host.id(), "VmRSS");
        let address = address(&host);
        // They ask and do not read.
        let waiting: Vec<TcpStream> = (0..40)
            .map(|_| {
                let mut stream = TcpStream::connect(&address).expect("it listens");
                let request = format!("GET /files/big HTTP/1.1\r\nHost: {address}\r\n\r\n");
                stream.write_all(request.as_bytes()).expect("it reads");
                let mut first = [0; 1];
                stream.read_exact(&mut first).expect("it has begun to answer");
                stream
            })
            .collect();
        let grown = crate::support::memory(host.id(), "VmRSS").saturating_sub(before);
        assert!(grown < 40 << 20, "{grown} bytes for 40 readers of 20 MB");
        // Others are served meanwhile.
        assert_eq!(ask(&host, "GET", "/files/big", &["Range: bytes=-1"]).body, b"9");
        drop(waiting);
    });
}
