//! A host whose clock is wrong: it serves, and says so.
//!
//! A library that is loaded into the host shifts what the system tells of the time, by as much as a file says. It is
//! compiled here: QuickJS needs a C compiler as well.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, TestService, program, run};

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *shift;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIFT_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) shift = mapped;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && shift) time->tv_sec += *shift;
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"#;

const SCRIPT: &str = "exports.now = () => Date.now()";

/// A clock that is wrong by as much as one likes.
pub(super) struct Clock {
    directory: TempDir,
}

impl Clock {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let source = directory.path().join("shim.c");
        std::fs::write(&source, SHIM).expect("a writable directory");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(directory.path().join("shim.so")).arg(source);
        assert!(compiler.status().expect("a C compiler").success());
        let clock = Self { directory };
        clock.shift_by(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("shift")
    }

    pub(super) fn shift_by(&self, seconds: i64) {
        use std::io::{Seek, Write};
        // In place: the host has mapped it.
        let mut file = std::fs::File::options().write(true).create(true).truncate(false).open(self.file());
        let file = file.as_mut().expect("a writable file");
        file.rewind().expect("a file");
        file.write_all(&seconds.to_ne_bytes()).expect("a writable file");
    }

    /// Sets the clock to so many seconds after 1970.
    fn set(&self, seconds: i64) {
        self.shift_by(seconds - real_now());
    }

    /// Lets a program have this clock.
    pub(super) fn give_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", self.directory.path().join("shim.so")).env("SHIFT_FILE", self.file())
    }

    fn host(&self, place: &TestService) -> ShiftedHost {
        let mut process = program()
            .arg("host")
            .arg(place.script())
            .arg("--dir")
            .arg(place.data())
            .args(["--port", "0"])
            .env("LD_PRELOAD", self.directory.path().join("shim.so"))
            .env("SHIFT_FILE", self.file())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vms starts");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let stderr = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let first = lines.next().expect("it serves").expect("UTF-8");
        let url = first.split(" is served at ").nth(1).expect("a URL").to_owned();
        ShiftedHost { process, url, stderr, _stdout: lines }
    }
}

fn real_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a time")
}

struct ShiftedHost {
    process: Child,
    url: String,
    stderr: std::io::Lines<BufReader<ChildStderr>>,
    _stdout: std::io::Lines<BufReader<ChildStdout>>,
}

impl ShiftedHost {
    /// What the script is told of the time, through a WebSocket.
    async fn now(&self) -> i64 {
        Client::connect(&self.url, None).await.call("now", json!([])).await.as_i64().expect("a time")
    }

    /// The `Date` of an answer over HTTP.
    async fn date(&self) -> String {
        let address = self.url.strip_prefix("ws://").expect("a URL").trim_end_matches('/');
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"now"}"#;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).await.expect("it is open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let result: Value =
            serde_json::from_str(answer.split("\r\n\r\n").nth(1).expect("a body")).expect("JSON");
        assert!(result["result"].is_i64(), "{result}");
        let mut lines = answer.lines();
        lines.find_map(|line| line.strip_prefix("date: ")).expect("a date").to_owned()
    }

    /// The next line on stderr with this in it.
    fn says(&mut self, what: &str) -> String {
        let mut others = vec![];
        for line in self.stderr.by_ref() {
            let line = line.expect("UTF-8");
            if line.contains(what) {
                return line;
            }
            others.push(line);
        }
        panic!("it ended without {what:?}: {others:?}");
    }
}

impl Drop for ShiftedHost {
    fn drop(&mut self) {
        let _may_have_ended = self.process.kill();
        let _may_have_ended = self.process.wait();
    }
}

#[test]
fn a_clock_before_1970_serves_as_any_other() {
    let (place, clock) = (TestService::new(SCRIPT), Clock::new());
    clock.set(-86_400 * 365);
    let mut host = clock.host(&place);
    let said = host.says("before 1970");
    assert!(said.contains("calls are dated 1970-01-01T00:00:00Z"), "{said}");
    run(async {
        assert_eq!(host.now().await, 0);
        assert_eq!(host.date().await, "Thu, 01 Jan 1970 00:00:00 GMT");
        // It is set while the host runs.
        clock.set(real_now());
        host.says("calls are dated with it again");
        assert!((host.now().await / 1_000 - real_now()).abs() < 60);
    });
    drop(host);
    place.assert_agrees();
}

#[test]
fn clocks_at_their_ends_serve_as_any_other() {
    for (seconds, now, date) in [
        (0, Some(0), "Thu, 01 Jan 1970"),
        (951_782_400, None, "Tue, 29 Feb 2000"),
        (253_402_300_900, None, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (8_640_000_000_100, Some(8_640_000_000_000_000), "Fri, 31 Dec 9999 23:59:59 GMT"),
        (9_007_199_254_800, Some(8_640_000_000_000_000), "Fri, 31 Dec 9999 23:59:59 GMT"),
        (1 << 53, Some(8_640_000_000_000_000), "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let (place, clock) = (TestService::new(SCRIPT), Clock::new());
        clock.set(seconds);
        let host = clock.host(&place);
        run(async {
            let found = host.now().await;
            let expected = now.unwrap_or(seconds * 1_000);
            assert!((0..120_000).contains(&(found - expected)), "{seconds}: {found}");
            let found = host.date().await;
            assert!(found.starts_with(date), "{seconds}: {found}");
        });
        drop(host);
        place.assert_agrees();
    }
}

#[test]
fn an_operator_is_told_that_the_log_is_ahead_of_the_clock() {
    let (place, clock) = (TestService::new(SCRIPT), Clock::new());
    // 2090; then it is set right, and the host starts again.
    clock.set(3_800_000_000);
    let host = clock.host(&place);
    let ahead = run(host.now());
    assert!(ahead >= 3_800_000_000_000);
    drop(host);
    clock.set(1_800_000_000);
    let mut host = clock.host(&place);
    let said = host.says("Date.now() goes at half the pace");
    assert!(said.contains("2027-01-15T") && said.contains("2090-06-01T"), "{said}");
    run(async {
        let first = host.now().await;
        assert!(first >= ahead);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let next = host.now().await;
        assert!((first + 50..=first + 1_000).contains(&next), "{first} {next}");
        // It catches up.
        clock.set(3_800_000_100);
        host.says("calls are dated with it again");
        assert!(host.now().await > first);
        // And is set back while the host runs.
        clock.set(1_800_000_000);
        host.says("Date.now() goes at half the pace");
    });
    drop(host);
    place.assert_agrees();
}
