//! What it costs that callers sign, in one run: the rates of signed calls and of their audit, against those of calls that
//! nobody signs, and against what the cores could check if they did nothing else.

use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures::stream::{FuturesUnordered, StreamExt};
use libvms::host::{CallRequest, Deployment, HostOptions, Vm};
use libvms_hypercore::identity::{PublicKey, SecretKey};
use libvms_protocol::entry::{Auth, Authorization, Caller, Intention};
use serde_json::{Value, json};

use super::{COUNTER, IN_FLIGHT, answered, audit, rate};

/// Keys that sign in turn.
const KEYS: u64 = 64;
const ROUNDS: usize = 3;
const METHOD: &str = "increment";

/// Rates per second: the best of some rounds, in each of which all have their turn.
#[derive(Default)]
struct Rates {
    unsigned: u64,
    signed: u64,
    receipts: u64,
    unsigned_audit: u64,
    signed_audit: u64,
    /// Signatures that one core checks.
    checks: u64,
}

pub(super) async fn measure(calls: u64) -> Value {
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut best = Rates::default();
    for _ in 0..ROUNDS {
        best.checks = best.checks.max(checks(calls.min(10_000)));
        let (called, audited) = service(Auth::Debug, false, calls).await;
        (best.unsigned, best.unsigned_audit) = (best.unsigned.max(called), best.unsigned_audit.max(audited));
        let (called, audited) = service(Auth::Signed, false, calls).await;
        (best.signed, best.signed_audit) = (best.signed.max(called), best.signed_audit.max(audited));
        best.receipts = best.receipts.max(service(Auth::Signed, true, calls).await.0);
    }
    let over = |rate: u64, bound: u64| rate as f64 / bound as f64;
    let all_checks = cores * best.checks;
    // Checks and calls share the cores: what is left of them if each took the time that it takes alone.
    let shared = best.unsigned * all_checks / (best.unsigned + all_checks);
    json!({
        "inProcess": best.signed,
        "audit": best.signed_audit,
        "checksOfOneCore": best.checks,
        "inProcessOverBound": over(best.signed, best.unsigned.min(all_checks)),
        "inProcessOverSharedCores": over(best.signed, shared),
        "auditOverBound": over(best.signed_audit, best.unsigned_audit.min(all_checks)),
        "receiptsOverNone": over(best.receipts, best.signed),
    })
}

/// Signatures that one thread checks in a second.
fn checks(count: u64) -> u64 {
    let log = PublicKey([7; 32]);
    let signed: Vec<_> = (0..KEYS).map(|number| sign(&key(number), &log, number)).collect();
    let start = Instant::now();
    for by in signed.iter().cycle().take(usize::try_from(count).expect("few")) {
        assert!(by.verifies(&log, METHOD, &[]));
    }
    rate(count, start)
}

/// Calls a service, each call of another key, and audits it. Returns both rates.
async fn service(auth: Auth, wants_receipt: bool, calls: u64) -> (u64, u64) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let deployment = Deployment { auth, ..Deployment::new(COUNTER, "signed") };
    let vm =
        Arc::new(Vm::deploy(directory.path(), deployment, HostOptions::default()).expect("a good script"));
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let mut called = 0.0;
    let mut left = calls;
    while left > 0 {
        // Signed before the clock starts, but not so many that the first is stale before its turn.
        let requests: Vec<_> = requests(&vm, &keys, auth, wants_receipt, left.min(10_000));
        left -= requests.len() as u64;
        let start = Instant::now();
        call_all(&vm, requests).await;
        called += start.elapsed().as_secs_f64();
    }
    vm.close().await;
    drop(vm);
    ((calls as f64 / called) as u64, audit(directory.path()))
}

fn requests(vm: &Vm, keys: &[SecretKey], auth: Auth, wants_receipt: bool, calls: u64) -> Vec<CallRequest> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let latest = u64::try_from(since.as_micros()).expect("a time of today");
    let request = |number: u64| {
        let caller = match auth {
            Auth::Debug => Caller::Anonymous,
            Auth::Signed => {
                let key = &keys[usize::try_from(number % KEYS).expect("few")];
                Caller::Key(Box::new(sign(key, &vm.log_key(), latest - calls + number)))
            }
        };
        CallRequest { caller, method: METHOD.into(), wants_receipt, ..CallRequest::default() }
    };
    (0..calls).map(request).collect()
}

async fn call_all(vm: &Vm, requests: Vec<CallRequest>) {
    let mut waiting = FuturesUnordered::new();
    for request in requests {
        if waiting.len() == IN_FLIGHT {
            answered(waiting.next().await.map(|answer: libvms::host::Answer| answer.result));
        }
        waiting.push(vm.request(request));
    }
    while let Some(answer) = waiting.next().await {
        answered(Some(answer.result));
    }
}

fn key(number: u64) -> SecretKey {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}

fn sign(key: &SecretKey, log: &PublicKey, nonce: u64) -> Authorization {
    Intention { method: METHOD, args: &[], nonce, seen: None, instead: None }.sign(key, log)
}
