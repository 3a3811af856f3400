//! What LibVMS's documentation promises, and what its predecessors got wrong.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Client, Host, TestService, example, program, run};

#[test]
fn the_handshake_lists_functions_only_and_hides_init() {
    let place = TestService::new(
        "exports.init = () => {}; exports.a = () => 1; exports.b = async () => 2; exports.c = 'text'; exports.d = {}",
    );
    run(async {
        let host = place.host();
        let handshake = host.client().await.handshake().await;
        assert_eq!(handshake["methods"], json!(["a", "b"]));
        for member in ["callLogUrl", "filesArchiveUrl"] {
            let url = handshake[member].as_str().expect("a URL");
            assert!(url.starts_with("hyper://") && url.len() == 8 + 64, "{url}");
        }
        let (name, _) = host.client().await.error("init", json!([])).await;
        assert_eq!(name, "Method not found");
    });
    assert_eq!(place.log().len(), 2, "the deployment and the host's own call of init");
    place.assert_agrees();
}

#[test]
fn calls_never_interleave_even_when_they_await_timers() {
    let place = TestService::new(
        "let inside = 0, most = 0
        exports.enter = async () => {
            most = Math.max(most, ++inside)
            await new Promise(resolve => setTimeout(resolve, 50))
            await null
            inside--
            return most
        }",
    );
    run(async {
        let host = place.host();
        let clients = join_all((0..4).map(|_| host.client())).await;
        let calls = clients.iter().flat_map(|client| (0..10).map(|_| client.call("enter", json!([]))));
        for most in join_all(calls).await {
            assert_eq!(most, json!(1));
        }
    });
    place.assert_agrees();
}

#[test]
fn the_user_of_the_url_is_the_caller() {
    let place = TestService::new("exports.who = () => System.caller.id");
    run(async {
        let host = place.host();
        assert_eq!(host.client().await.call("who", json!([])).await, json!(null));
        assert_eq!(host.client_of("bob").await.call("who", json!([])).await, json!("bob"));
        let odd = "ü &=?/%\"";
        assert_eq!(host.client_of(odd).await.call("who", json!([])).await, json!(odd));
    });
    let users: Vec<Value> = place.log().iter().skip(1).map(|entry| entry["userId"].clone()).collect();
    assert_eq!(users, [json!(null), json!("bob"), json!("ü &=?/%\"")]);
    place.assert_agrees();
}

#[test]
fn missing_arguments_take_their_defaults() {
    let place = TestService::new("exports.f = (a = 1, b = 'two', ...rest) => [a, b, rest]");
    run(async {
        let client = place.host();
        let client = client.client().await;
        assert_eq!(client.call("f", json!([])).await, json!([1, "two", []]));
        assert_eq!(client.call("f", json!([null])).await, json!([null, "two", []]));
        assert_eq!(client.call("f", json!([5, 6, 7, 8])).await, json!([5, 6, [7, 8]]));
    });
    place.assert_agrees();
}

#[test]
fn sync_and_async_methods_answer_alike() {
    let place = TestService::new(
        "exports.now = () => ({ a: [1, 'x', null, true] }); exports.later = async () => ({ a: [1, 'x', null, true] })
        exports.nothing = () => {}; exports.laterNothing = async () => {}",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        assert_eq!(client.call("now", json!([])).await, client.call("later", json!([])).await);
        assert_eq!(client.call("nothing", json!([])).await, json!(null));
        assert_eq!(client.call("laterNothing", json!([])).await, json!(null));
    });
    place.assert_agrees();
}

#[test]
fn one_server_carries_several_services() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    run(async {
        let mut command = program();
        command.arg("host").args([example("counter.js"), example("hello-world.js")]);
        let host = Host::start(command.arg("--dir").arg(directory.path()));
        let urls: Vec<&str> = host.announced.iter().filter_map(|service| service["url"].as_str()).collect();
        assert!(urls[0].ends_with("/counter") && urls[1].ends_with("/hello-world"), "{urls:?}");
        let (counter, hello) = (Client::connect(urls[0], None).await, Client::connect(urls[1], None).await);
        assert_eq!(counter.call("increment", json!([])).await, json!(1));
        assert_eq!(hello.call("hello", json!(["you"])).await, json!("hello, you"));
        assert_eq!(hello.error("increment", json!([])).await.0, "Method not found");
        assert!(host.terminate().success());
    });
    for name in ["counter.vms", "hello-world.vms"] {
        assert_eq!(crate::support::verify(&directory.path().join(name)).0, 0, "{name}");
    }
}

#[test]
fn a_counter_in_memory_goes_on_after_a_restart() {
    let place = TestService::of_example("counter.js");
    for expected in 1..4 {
        run(async {
            let host = place.host();
            assert_eq!(host.client().await.call("increment", json!([])).await, json!(expected));
            assert_eq!(host.terminate().code(), Some(0));
        });
    }
    place.assert_agrees();
}

#[test]
fn a_script_with_init_verifies() {
    let place = TestService::of_example("persisted-counter.js");
    run(async {
        let host = place.host();
        assert_eq!(host.client().await.call("increment", json!([])).await, json!(1));
    });
    run(async {
        let host = place.host();
        assert_eq!(host.client().await.call("increment", json!([])).await, json!(2));
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn what_a_script_throws_is_logged_faithfully() {
    let place = TestService::new(
        "exports.error = () => { throw new Error('m') }; exports.text = () => { throw 'text' }
        exports.nothing = () => { throw null }; exports.later = async () => { throw new RangeError('far') }
        exports.own = () => { throw Object.assign(new Error('x'), { name: 'Mine' }) }",
    );
    let thrown = [
        ("error", "Error", "m"),
        ("text", "Error", "text"),
        ("nothing", "Error", "null"),
        ("later", "RangeError", "far"),
        ("own", "Mine", "x"),
    ];
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (method, name, message) in thrown {
            assert_eq!(client.error(method, json!([])).await, (name.into(), message.into()), "{method}");
        }
        assert!(host.terminate().success());
    });
    for (entry, (_, name, message)) in place.log().iter().skip(1).zip(thrown) {
        assert_eq!(entry["result"], json!({ "err": { "name": name, "message": message } }));
    }
    place.assert_agrees();
}

#[test]
fn time_and_chance_verify() {
    let place = TestService::new(
        "const loaded = [Date.now(), Math.random()]
        exports.get = () => [loaded, Date.now(), new Date().toISOString(), Math.random(), Math.random()]",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        let (first, second) = (client.call("get", json!([])).await, client.call("get", json!([])).await);
        assert_eq!(first[0], second[0], "what was drawn while loading stays");
        assert_ne!(first[3], first[4]);
        assert_ne!(first[3], second[3]);
        assert!(host.terminate().success());
    });
    run(async {
        let host = place.host();
        host.client().await.call("get", json!([])).await;
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn a_call_that_throws_keeps_none_of_its_files() {
    let place = TestService::new(
        "exports.good = () => System.files.writeFile('/a', 'kept')
        exports.bad = async () => { await System.files.writeFile('/a', 'lost'); await System.files.writeFile('/b', 'lost'); throw new Error('no') }
        exports.read = async () => [await System.files.readFile('/a'), await System.files.readdir('/')]",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        client.call("good", json!([])).await;
        assert_eq!(client.error("bad", json!([])).await.1, "no");
        assert_eq!(client.call("read", json!([])).await, json!(["kept", ["a"]]));
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn a_thousand_calls_wait_and_the_next_is_refused() {
    let place = TestService::new(
        "exports.slow = () => { for (let i = 0; i < 15e5; i++); return 'slow' }; exports.quick = () => 'quick'",
    );
    run(async {
        let host = place.host();
        let clients = join_all((0..11).map(|_| host.client())).await;
        // Answers of a new caller are taken to be long: it may have many calls under way once they were not.
        for client in &clients {
            join_all((0..30).map(|_| client.call("quick", json!([])))).await;
        }
        // Eleven connections, a hundred calls each: one more hundred than there are places.
        let calls = clients.iter().map(|client| async {
            let first = client.try_call("slow", json!([]));
            let rest = join_all((1..100).map(|_| client.try_call("quick", json!([]))));
            let (first, rest) = tokio::join!(first, rest);
            rest.into_iter().chain([first]).collect::<Vec<_>>()
        });
        let mut refused = 0;
        for outcome in join_all(calls).await.into_iter().flatten() {
            match outcome {
                Ok(value) => assert!(value == json!("quick") || value == json!("slow")),
                Err(error) => {
                    assert_eq!(error.to_string(), "Error: Too many active requests");
                    refused += 1;
                }
            }
        }
        assert!((1..=100).contains(&refused), "{refused}");
        assert_eq!(clients[0].call("quick", json!([])).await, json!("quick"), "places come free again");
        assert!(host.terminate().success());
    });
    place.assert_agrees();
}

#[test]
fn arguments_may_be_passed_by_name() {
    let place = TestService::new(
        "exports.add = (a, b = 10, /* the last */ c = 100) => a + b + c
        exports.method = { async twice(of) { return of * 2 } }.twice
        exports.seen = function (first, second) { return [first === undefined, second, arguments.length] }
        exports.taken = ({ a }) => a
        exports.rest = (...all) => all
        exports.none = () => 'none'",
    );
    run(async {
        let host = place.host();
        let client = host.client().await;
        for (method, args, expected) in [
            ("add", json!({ "c": 3, "a": 1, "b": 2 }), json!(6)),
            ("add", json!({ "a": 1 }), json!(111)),
            ("method", json!({ "of": 4 }), json!(8)),
            ("seen", json!({ "second": [1] }), json!([false, [1], 2])),
            ("seen", json!({ "first": null }), json!([false, null, 1])),
            ("none", json!({}), json!("none")),
            ("taken", json!([{ "a": 5 }]), json!(5)),
        ] {
            assert_eq!(client.call(method, &args).await, expected, "{method}({args})");
        }
        for (method, args, named) in [
            ("add", json!({ "a": 1, "d": 2 }), "its parameters are: a, b, c"),
            ("none", json!({ "a": 1 }), "its parameters are: none"),
            ("taken", json!({ "a": 5 }), "params must be an array"),
            ("rest", json!({ "all": [] }), "params must be an array"),
        ] {
            let (name, why) = client.error(method, &args).await;
            assert_eq!(name, "Invalid params", "{method}({args})");
            assert!(why.contains(named), "{method}({args}): {why}");
        }
        assert_eq!(client.error("missing", json!({ "a": 1 })).await.0, "Method not found");
        assert_eq!(client.call("__listMethods", json!({})).await, client.handshake().await["methods"]);
        assert!(host.terminate().success());
    });
    let first = place.log().into_iter().find(|entry| entry["methodName"] == "add").expect("a call");
    assert_eq!(first["args"], json!([1, 2, 3]), "the log holds places only: {first}");
    place.assert_agrees();
}

#[test]
fn a_method_of_the_script_lists_methods_its_own_way() {
    let place = TestService::new("exports.__listMethods = () => 'mine'");
    run(async {
        let host = place.host();
        assert_eq!(host.client().await.call("__listMethods", json!([])).await, json!("mine"));
    });
}

#[test]
fn thousands_of_pipelined_answers_keep_their_order() {
    use futures::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    const COUNT: usize = 3_000;
    let place = TestService::new(
        "let calls = 0; exports.count = () => ++calls; exports.fail = () => { throw new Error('no') }",
    );
    run(async {
        let host = place.host();
        let (socket, _) = tokio_tungstenite::connect_async(host.url()).await.expect("it listens");
        let (mut sender, mut receiver) = socket.split();
        let send = async {
            for id in 0..COUNT {
                let method = ["count", "fail", "count", "missing", "count", "handshake"][id % 6];
                let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [] });
                sender.send(Message::text(call.to_string())).await.expect("it is open");
            }
        };
        let receive = async {
            for id in 0..COUNT {
                let message = receiver.next().await.expect("it is open").expect("a message");
                let answer: Value = serde_json::from_str(message.to_text().expect("text")).expect("JSON");
                assert_eq!(answer["id"], id);
            }
        };
        futures::future::join(send, receive).await;
    });
}
