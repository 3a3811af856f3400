//! Every limit has one name, one number and one message, which says how much was used and what moves it.

use std::path::Path;

use libvms_protocol::entry::Limits;
use libvms_protocol::limits;
use serde_json::{Value, json};

use crate::support::{TestService, run, text, vms};

/// A limit as people meet it.
struct Limit {
    name: &'static str,
    number: u64,
    /// The option of `vms host` that moves it.
    option: Option<&'static str>,
}

const fn limit(name: &'static str, number: u64, option: Option<&'static str>) -> Limit {
    Limit { name, number, option }
}

fn all() -> Vec<Limit> {
    let Limits { fuel, memory, stack, output, .. } = Limits::default();
    vec![
        limit("fuel", fuel, Some("--fuel")),
        limit("load", Limits::default().with_load().load_fuel(), Some("--fuel")),
        limit("memory", memory, Some("--memory")),
        limit("stack", stack, Some("--stack")),
        limit("output", output, Some("--output")),
        limit("call-time", 10 + 20 * fuel / 1_000, Some("--call-time")),
        limit("result", limits::RESULT_BYTES_MAX as u64, None),
        limit("arguments", limits::ARGUMENTS_BYTES_MAX as u64, None),
        limit("code", limits::CODE_BYTES_MAX as u64, None),
        limit("caller", limits::USER_ID_BYTES_MAX as u64, None),
        limit("queue", libvms::host::CALLS_WAITING_MAX as u64, None),
    ]
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let is_first_of_three = |index: usize| index > 0 && (digits.len() - index).is_multiple_of(3);
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if is_first_of_three(index) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[test]
fn the_table_tells_every_limit_as_it_is() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../node/OPERATING.md"))
        .expect("it is there");
    for Limit { name, number, option } in all() {
        let start = format!("| `{name}` | {} ", grouped(number));
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("OPERATING.md tells nothing of `{name}`"));
        assert!(row.starts_with(&start), "{row}\ndoes not begin with {start}");
        let moved = option.map_or("nothing".into(), |option| format!("`{option}`"));
        assert!(row.contains(&format!("| {moved} |")), "{row}\ndoes not say that {moved} moves it");
    }
}

#[test]
fn the_help_has_an_option_for_every_limit_that_moves() {
    let help = vms(["host", "--help"]);
    // Wherever its lines are broken.
    let help = text(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for Limit { name, number, option } in all() {
        let Some(option) = option else { continue };
        assert!(help.contains(&format!("{option} <")), "{name}: {help}");
        if !matches!(name, "call-time" | "load") {
            assert!(help.contains(&format!("default: {number} ")), "{name}: {help}");
        }
    }
}

/// Calls `f` of a service, and gives what the caller hears.
fn heard(script: &str, options: &[&str], args: Value) -> String {
    let place = TestService::new(script);
    let (_, message) = run(async {
        let host = place.host_with(options);
        let heard = host.client().await.error("f", args).await;
        assert!(host.terminate().success());
        heard
    });
    place.assert_agrees();
    message
}

#[test]
fn whoever_meets_a_limit_hears_which_and_what_moves_it() {
    let large = |number: u64| number + 1;
    for (script, options, args, expected, other) in [
        (
            "exports.f = () => { for (;;) {} }",
            &[][..],
            json!([]),
            ["`fuel`: 40", " of 400 units", "--fuel"],
            "--output",
        ),
        (
            "exports.f = () => { for (;;) {} }",
            &["--fuel", "7"],
            json!([]),
            ["`fuel`: ", " of 7 units", "--fuel"],
            "--output",
        ),
        (
            "exports.f = () => System.files.writeFile('/b', new Uint8Array(16777217))",
            &[],
            json!([]),
            ["`output`: 16777219 ", " of 16777216 bytes", "--output"],
            "--fuel",
        ),
        (
            "exports.f = () => 'x'.repeat(99)",
            &["--output", "100"],
            json!([]),
            ["`output`: 101 ", " of 100 bytes", "--output"],
            "--fuel",
        ),
        (
            "exports.f = () => 'x'.repeat(2097152)",
            &[],
            json!([]),
            ["`result`: 2097154 ", " of 1048576 bytes", "no option"],
            "--output",
        ),
        (
            "exports.f = () => 1",
            &[],
            json!(["x".repeat(usize::try_from(large(1 << 20)).expect("small"))]),
            ["`arguments`: 1048581 ", " of 1048576 bytes", "no option"],
            "--output",
        ),
        (
            // Each step takes a microsecond: fuel does not end it within a second.
            "exports.f = () => { for (;;) [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}] }",
            &["--fuel", "60000", "--call-time", "1"],
            json!([]),
            ["`call-time`: 1 s", "1 s", "--call-time"],
            "--fuel",
        ),
    ] {
        // Steps that the clock ends are of no built-in: the call may be slow to end on a busy machine, not to be told.
        let message = heard(script, options, args);
        for part in expected {
            assert!(message.contains(part), "{script}: {message}\ndoes not tell {part}");
        }
        assert!(!message.contains(other), "{script}: {message}");
    }
}

#[test]
fn a_script_that_is_too_long_is_told_so() {
    let place = TestService::new(&format!("// {}", "x".repeat(limits::CODE_BYTES_MAX)));
    let output =
        vms(["host".as_ref(), place.script().as_os_str(), "--dir".as_ref(), place.data().as_os_str()]);
    let message = text(&output.stderr);
    assert!(message.contains("`code`: 4194307 of 4194304 bytes, which no option moves"), "{message}");
}

/// What is below a limit is let through: a file of nearly all the output, made in any way.
#[test]
fn files_up_to_the_limit_of_output_are_written() {
    let place = TestService::new(
        "exports.plain = () => System.files.writeFile('/b', new Uint8Array(16777000))
        exports.alloc = () => System.files.writeFile('/b', Buffer.alloc(15e6))
        exports.filled = () => System.files.writeFile('/b', Buffer.alloc(15e6, 'x'))
        exports.view = () => System.files.writeFile('/b', new DataView(new ArrayBuffer(16000000), 8))
        exports.wide = () => System.files.writeFile('/b', new Float64Array(2000000))
        exports.copied = () => System.files.writeFile('/b', Buffer.from(new Uint8Array(12000000)))
        exports.joined = () => System.files.writeFile('/b', Buffer.concat([new Uint8Array(6000000), Buffer.alloc(6000000)]))
        exports.size = async () => (await System.files.stat('/b')).size
        exports.over = () => System.files.writeFile('/b', new Uint8Array(16777217))
        exports.flood = async () => { for (;;) await System.files.writeFile('/b', new Uint8Array(500000)) }
        exports.throws = () => { throw new RangeError('mine') }",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (method, bytes) in [
            ("plain", 16_777_000),
            ("alloc", 15_000_000),
            ("filled", 15_000_000),
            ("view", 15_999_992),
            ("wide", 16_000_000),
            ("copied", 12_000_000),
            ("joined", 12_000_000),
        ] {
            assert_eq!(client.call(method, json!([])).await, Value::Null, "{method}");
            assert_eq!(client.call("size", json!([])).await, json!(bytes), "{method}");
        }
        for _ in 0..2 {
            for method in ["over", "flood"] {
                let (name, message) = client.error(method, json!([])).await;
                assert_eq!(name, "Fault", "{method}: {message}");
                let thrown = client.error("throws", json!([])).await;
                assert_eq!(thrown, ("RangeError".into(), "mine".into()), "after {method}");
            }
        }
        assert!(host.terminate().success());
    });
    let faults: Vec<_> = place
        .log()
        .into_iter()
        .filter_map(|entry| entry["result"]["fault"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().all(|fault| fault == "output" || fault == "fuel"), "{faults:?}");
    place.assert_agrees();
}
