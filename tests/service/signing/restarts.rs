//! A host that stops, is killed and comes back while calls are under way: each call is executed once.

use std::time::Duration;

use libvms::rpc::{ClientError, ClientOptions, RpcClient};

use super::{Home, SCRIPT, own_options, signed_host};
use crate::support::{TestService, run};
use serde_json::json;

/// How long a host may be away: a restart in a debug build, beside other tests.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_restart_between_two_calls_is_not_noticed() {
    let (home, place) = (Home::new(), TestService::new(SCRIPT));
    let host = signed_host(&place);
    let (url, port) = (host.url().to_owned(), host.port());
    assert_eq!(home.result(&url, "increment"), json!(1));
    run(async {
        let options = ClientOptions { retry_timeout: PATIENCE, ..own_options(None) };
        let client = RpcClient::connect(&url, options).await.expect("it listens");
        let increment =
            async || client.call("increment", &[(); 0]).await.expect("an answer").expect("a value");
        assert_eq!(increment().await.get(), "2");
        assert!(host.terminate().success());
        let host = place.host_at(port, &[]);
        assert_eq!(increment().await.get(), "3");
        host.kill();
        let host = place.host_at(port, &[]);
        assert_eq!(increment().await.get(), "4");
        assert!(host.terminate().success());
    });
    let host = place.host_at(port, &[]);
    assert_eq!(home.result(&url, "increment"), json!(5));
    assert!(host.terminate().success());
    place.assert_agrees();
}

#[test]
fn calls_under_way_when_a_host_stops_or_is_killed_are_each_executed_once() {
    const ROUNDS: u64 = 6;
    const CALLS: u64 = 200;
    let place = TestService::new(SCRIPT);
    let mut host = signed_host(&place);
    let (url, port) = (host.url().to_owned(), host.port());
    run(async {
        let options = ClientOptions { retry_timeout: PATIENCE, ..own_options(None) };
        let client = RpcClient::connect(&url, options).await.expect("it listens");
        for round in 0..ROUNDS {
            let calls = (0..CALLS).map(|_| client.call("increment", &[(); 0]));
            let calls = futures::future::join_all(calls);
            let place = &place;
            let trouble = async move {
                tokio::time::sleep(Duration::from_millis(5 * round)).await;
                // Off the runtime, which has to go on meanwhile.
                tokio::task::block_in_place(|| {
                    if round % 2 == 0 {
                        host.kill();
                    } else {
                        assert!(host.terminate().success());
                    }
                    place.host_at(port, &[])
                })
            };
            let (answers, restarted) = futures::future::join(calls, trouble).await;
            host = restarted;
            let results = answers.into_iter().map(|answer| {
                let value = answer.unwrap_or_else(|error| panic!("round {round}: {error}"));
                value.expect("a value").get().parse::<u64>().expect("a number")
            });
            let first = round * CALLS + 1;
            assert!(results.eq(first..first + CALLS), "round {round}: each once, in order");
        }
        client.close().await;
        assert!(host.terminate().success());
    });
    assert_eq!(place.log().len() as u64, 1 + ROUNDS * CALLS);
    place.assert_agrees();
}

#[test]
fn a_call_to_a_host_that_stays_away_is_given_up_and_the_next_one_finds_it() {
    let place = TestService::new(SCRIPT);
    let host = signed_host(&place);
    let port = host.port();
    run(async {
        let options = ClientOptions { retry_timeout: Duration::from_millis(500), ..own_options(None) };
        let client = RpcClient::connect(host.url(), options).await.expect("it listens");
        let increment = async || client.call("increment", &[(); 0]).await;
        assert_eq!(increment().await.expect("an answer").expect("a value").get(), "1");
        host.kill();
        for _ in 0..2 {
            let error = increment().await.expect_err("nobody is there");
            assert!(matches!(error, ClientError::Lost { .. }), "{error}");
        }
        let host = place.host_at(port, &[]);
        // What was given up is not sent behind its caller's back.
        let next = increment().await.expect("an answer").expect("a value");
        assert_eq!(next.get(), "2");
        client.close().await;
        assert!(host.terminate().success());
    });
    assert_eq!(place.log().len(), 3);
    place.assert_agrees();
}
