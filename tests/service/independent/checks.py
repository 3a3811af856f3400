"""Calls a host as its callers do, and checks what it says: `checks.py PART URL [FILE]`. Prints how much was checked, as JSON.

The parts: `arguments`, `rules`, `once` (leaves in FILE what was signed and seen), `again` (after a restart, from FILE), `busy`, `rate`.
"""
import json, sys, threading, time

from client import Answer, Caller, Refused, Service, nodes, now
import arguments, reader

SECOND = 1_000_000


def refused(request, reason):
    """Sends a request that must be refused for this reason."""
    said = request.send()
    assert isinstance(said, Refused), f"executed instead of {reason}: {said.__dict__}"
    assert said.reason == reason, (said.reason, reason, said.data)
    return said


# Arguments.

def check_arguments(url):
    service = Service(url)
    caller = Caller(service, 1)
    for text in arguments.ODD:
        echoed = caller.call("echo", text)
        assert reader.encode(echoed.value()) == reader.encode(reader.json_data(text)), text
    texts = arguments.by_chance(400, 20)
    for begin in range(0, len(texts), 100):
        requests = [caller.request("echo", text, id=id) for id, text in enumerate(texts[begin:begin + 100])]
        answers = service.post("[" + ",".join(request.text for request in requests) + "]")
        assert [answer["id"] for answer in answers] == list(range(len(requests)))
        for request, answer in zip(requests, answers):
            assert reader.encode(request.judge(answer).value()) == reader.encode(request.call["args"]), request.text
    for text in arguments.REFUSED:
        try: caller.request("echo", text)
        except reader.Unreadable: pass
        else: raise AssertionError(f"signed {text[:60]}")
        # Nobody can have signed that. The host does not even take it where somebody says so.
        good = caller.request("echo")
        error = service.post(good.text.replace('"params":[]', f'"params":{text}'))["error"]
        assert error["code"] in (-32700, -32602), (text[:60], error)
    absent = caller.request("echo")
    answer = absent.judge(service.post(absent.text.replace(',"params":[]', "")))
    assert answer.value() == []
    assert caller.call("who").value() == caller.key.hex()
    thrown = caller.call("fail").result
    assert thrown["err"] == dict(name="RangeError", message="far", code=7, details=dict(field=[1])), thrown
    assert caller.call("nothing").result.keys() <= {"files"}
    assert caller.call("endless").result == dict(fault="fuel")
    everywhere = caller.request("who", receipt=False)
    assert everywhere.judge(service.post(everywhere.text, query="?receipts")).value() == caller.key.hex()
    return dict(odd=len(arguments.ODD), byChance=len(texts), refused=len(arguments.REFUSED))


# Rules.

def not_signed(caller):
    """Signatures that do not hold."""
    def flipped(at): return lambda signed: (good := bytearray(caller.secret.sign(signed))).__setitem__(at, good[at] ^ 1) or bytes(good)

    def plus_l(signed):
        good = caller.secret.sign(signed)
        return good[:32] + (int.from_bytes(good[32:], "little") + reader.L).to_bytes(32, "little")

    small = (1).to_bytes(32, "little")
    for at in (0, 31, 32, 63): yield caller.request("count", sig=flipped(at))
    yield caller.request("count", sig=plus_l)
    yield caller.request("count", sig=bytes(64))
    # Everybody can sign for a key of small order, by a lenient rule.
    yield caller.request("count", sig=small + bytes(32), key=small)
    yield caller.request("count", sig=small + bytes(32), key=reader.P.to_bytes(32, "little"))
    yield caller.request("count", sig=lambda signed: caller.secret.sign(signed[13:]))
    yield caller.request("count", sig=lambda signed: caller.secret.sign(signed.replace(caller.service.log, bytes(32))))
    yield caller.request("count", sig=caller.request("who").call["sig"])
    yield caller.request("count", "[1]", sig=caller.request("count").call["sig"])
    yield caller.request("count", key=Caller(caller.service, 99).key)
    nonce = caller.nonce()
    plain = caller.request("count", nonce=nonce).call["sig"]
    yield caller.request("count", nonce=nonce + 1, sig=plain)
    yield caller.request("count", nonce=nonce, sig=plain, instead=[nonce - 1])
    yield caller.request("count", nonce=nonce, sig=plain, seen=caller.service.seen)


def check_forms(caller):
    """Members of `caller` that are not in their form: no request of JSON-RPC, whatever they would say."""
    request = caller.request("count", seen=caller.service.seen, instead=[caller.nonce() - 5])
    nonce, key, sig, seen = request.call["nonce"], request.key.hex(), request.call["sig"].hex(), request.call["seen"]["hash"].hex()
    changes = [
        (key, key.upper()), (key, key[:-2]), (key, "hyper://" + key), (sig, sig.upper()), (sig, sig + "00"), (seen, seen[:-1]), ('"nonce": ', '"nonce": -'),
        (f'"nonce": {nonce}', f'"nonce": {nonce}.5'), (f'"nonce": {nonce}', f'"nonce": "{nonce}"'), ('"nonce": ', '"user": "bob", "nonce": '), ('"instead": [', '"instead": [1, 2, 3, 4, 5, 6, 7, 8, '), ('"instead": [', '"instead": ["1", '),
        ('"caller": {', '"caller": [], "caller": {'), ('"receipt": true', '"receipt": 1'), ('"nonce": ', '"nonce": 9007199254740992, "other": '),
    ]
    for old, new in changes:
        assert old in request.text, old
        error = caller.service.post(request.text.replace(old, new))["error"]
        assert error["code"] in (-32600, -32700), (new, error)
    # Another notation of the same numbers is the same call.
    same = request.text.replace(f'"nonce": {nonce}', f'"nonce": {nonce}.0')
    assert same != request.text
    assert isinstance(request.judge(caller.service.post(same)), Answer)
    return len(changes)


def check_heads(service, caller):
    """Heads that are not this log's, and what the host shows of its own."""
    seen = service.seen
    for length, hash in ((seen["length"], bytes(32)), (seen["length"] - 1, seen["hash"]), (1, seen["hash"]), (0, bytes(32)), (10**9, seen["hash"])):
        said = refused(caller.request("count", seen=dict(length=length, hash=hash)), "unknown-head")
        head = said.data["head"]
        service.check_head(head["length"], bytes.fromhex(head["hash"]), bytes.fromhex(head["sig"]))
        if length > head["length"]:
            assert not said.data.get("nodes")
            continue
        whole, cut = reader.grown_from(length, nodes(said.data["nodes"]), head["length"])
        assert whole.hex() == head["hash"] and cut != hash, "the nodes do not show another history"
    # The empty log's hash is known to everybody.
    assert caller.request("count", seen=dict(length=0, hash=reader.blake2b(b"\2"))).send().value() > 0
    return 6


def check_times(service):
    """Calls of other times."""
    caller = Caller(service, 3)
    shook = service.handshake(latest=True)
    _, _, latest = service.open(shook["latest"])
    at = latest["call"]["at"]
    assert at <= shook["now"] // 1000 and abs(shook["now"] - now()) < 10 * SECOND, shook["now"]
    for ahead in (2, 60, 10**6):
        said = refused(caller.request("count", nonce=now() + ahead * SECOND), "early")
        assert said.now // 1000 < now() // 1000 + SECOND
        assert service.open(said.data["latest"])[2]["call"]["at"] >= at
    said = refused(caller.request("count", nonce=reader.NONCE_MAX), "early")
    age = service.handshake()["limits"]["callAge"] * 1000
    for past in (age + 2 * SECOND, 10 * age): refused(caller.request("count", nonce=now() - past), "stale-call")
    said = refused(caller.request("count", nonce=0), "stale-call")
    assert service.open(said.data["latest"])[2]["call"]["at"] >= at
    assert caller.request("count", nonce=now() - age + 10 * SECOND).send().value() > 0
    for past in (2 * age + 2 * SECOND, 3 * age): refused(caller.request("count", instead=[now() - past]), "stale-instead")
    refused(caller.request("count", instead=[0, now() - SECOND]), "stale-instead")
    assert caller.request("count", instead=[now() - 2 * age + 10 * SECOND]).send().value() > 0
    return 9


def check_numbers(service):
    """Numbers that stand in earlier calls, and those that are not in their form."""
    caller = Caller(service, 4)
    first = caller.request("count").send()
    block, nonce = first.block, first.call["nonce"]
    for smaller in (nonce - 1, nonce - SECOND):
        assert refused(caller.request("count", nonce=smaller), "repeated-nonce").block == block
    # One number, and another call.
    refused(caller.request("who", nonce=nonce), "repeated-nonce")
    refused(caller.request("count", "[1]", nonce=nonce), "repeated-nonce")
    # What is not in its form is no answer to anything, though a number of it is known.
    fresh = Caller(service, 5)
    ahead = fresh.nonce()
    bad = ([], [ahead], [ahead - 1, ahead - 2], [ahead - 2, ahead - 2], [ahead - 1, ahead])
    for instead in bad: refused(fresh.request("count", nonce=ahead, instead=instead), "invalid")
    # Another key's numbers are its own.
    assert fresh.request("count", nonce=nonce).send().block > block
    return 4 + len(bad)


def check_rules(url):
    service = Service(url)
    caller = Caller(service, 2)
    caller.call("count")
    service.learn(service.handshake()["head"])
    counted = caller.call("count").value()
    signatures = [refused(request, "bad-signature") for request in not_signed(caller)]
    forms = check_forms(caller)
    said = refused(caller.request("missing"), "no-method")
    assert said.code == -32601
    assert refused(caller.request("init"), "no-method").code == -32601
    counts = dict(signatures=len(signatures), forms=forms, heads=check_heads(service, caller), times=check_times(service), numbers=check_numbers(service))
    # Nothing that was refused was executed: each executed one has its entry, and no other has.
    service.learn(service.handshake()["head"])
    assert caller.call("count").value() > counted
    return counts


# Once.

def check_once(url, file):
    service = Service(url)
    caller = Caller(service, 6)
    request = caller.request("count", seen=service.seen)
    first = request.send()
    for _ in range(3): assert_same(request.send(), first)
    again = caller.request("count", instead=[first.call["nonce"]])
    assert_same(again.send(), first)
    third = caller.request("count", instead=sorted({first.call["nonce"], again.call["nonce"]}))
    assert_same(third.send(), first)
    # At the same time, while it waits behind a slow one.
    threading.Thread(target=Caller(service, 7).request("spin").send).start()
    slow = caller.request("count")
    said = []
    threads = [threading.Thread(target=lambda text=text: said.append(slow.judge(service.post(text)))) for text in [slow.text] * 8]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(said) == 8 and len({(answer.block, answer.value()) for answer in said}) == 1, [answer.__dict__ for answer in said]
    assert said[0].value() == first.value() + 1
    # The number of another intention brings that one's receipt, and its client sees that.
    other = service.post(caller.request("who", instead=[first.call["nonce"]]).text)
    assert service.open(other["receipt"])[1] == first.block
    # A call that has thrown is answered as often, too.
    thrower = caller.request("fail")
    assert thrower.send().block == thrower.send().block
    # Those that must not be executed after the restart either.
    service.learn(service.handshake()["head"])
    state = dict(
        seen=dict(length=service.seen["length"], hash=service.seen["hash"].hex()), latest=caller.latest, block=first.block, value=first.value(), nonce=first.call["nonce"],
        text=request.text, count=said[0].value(), slow=slow.text, slowBlock=said[0].block, numbers=third.call["instead"] + [third.call["nonce"]],
    )
    with open(file, "w") as out: json.dump(state, out)
    return dict(once=2, answers=5 + len(said))


def assert_same(answer, first):
    assert isinstance(answer, Answer), answer.data
    assert (answer.block, answer.value()) == (first.block, first.value()), "executed twice"


def check_again(url, file):
    with open(file) as left: state = json.load(left)
    seen = dict(length=state["seen"]["length"], hash=bytes.fromhex(state["seen"]["hash"]))
    service = Service(url, seen)
    caller = Caller(service, 6, state["latest"])
    request = caller.request("count", nonce=state["nonce"], seen=json_seen(state["text"]))
    assert request.text == state["text"], "the same call is the same text"
    instead = caller.request("count", instead=state["numbers"])
    some = caller.request("count", instead=state["numbers"][:1])
    for repeated in (request, instead, some, request):
        answer = repeated.send()
        assert isinstance(answer, Answer) and (answer.block, answer.value()) == (state["block"], state["value"])
    slow = json.loads(state["slow"])
    answer = caller.request("count", nonce=slow["caller"]["nonce"]).send()
    assert (answer.block, answer.value()) == (state["slowBlock"], state["count"])
    assert refused(caller.request("count", nonce=state["nonce"] - 1), "repeated-nonce").block is not None
    refused(caller.request("who", nonce=state["nonce"]), "repeated-nonce")
    assert caller.call("count").value() == state["count"] + 1
    return dict(again=2, answers=5)


def json_seen(text):
    told = json.loads(text)["caller"]["seen"]
    return dict(length=told["length"], hash=bytes.fromhex(told["hash"]))


# More than wait.

def check_busy(url):
    """Sends more calls than may wait, while one runs that takes long."""
    service = Service(url)
    callers = [Caller(service, seed) for seed in range(20, 32)]
    # Signed before: signing takes longer than the slow call.
    batches = [[caller.request("count", id=id) for id in range(100)] for caller in callers]
    texts = ["[" + ",".join(request.text for request in batch) + "]" for batch in batches]
    # More than one, in case that this machine is slow to send.
    slow = [Caller(service, seed).request("spin") for seed in range(50, 54)]
    for request in slow: threading.Thread(target=request.send).start()
    time.sleep(0.1)
    said = [None] * len(texts)
    def send(number): said[number] = service.post(texts[number])
    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(texts))]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    pairs = [pair for batch, answers in zip(batches, said) for pair in zip(batch, answers)]
    busy = [request.judge(answer, is_flood=True) for request, answer in pairs if "error" in answer]
    assert {refused.reason for refused in busy} == {"busy"}, [refused.data for refused in busy][:3]
    assert any(refused.is_signed for refused in busy)
    executed = [(request, answer) for request, answer in pairs if "result" in answer]
    values = {answer["result"] for _, answer in executed}
    assert len(values) == len(executed) and len(executed) + len(busy) == len(pairs)
    for request, answer in executed[::25]: assert request.judge(answer).value() == answer["result"]
    # Refused calls may come again as they are.
    assert batches[0][0].send().call["nonce"] == batches[0][0].call["nonce"]
    return dict(busy=len(busy), executed=len(executed))


# More than one may send in a minute.

def check_rate(url):
    service = Service(url)
    caller = Caller(service, 8)
    for executed in range(100):
        request = caller.request("count")
        said = request.send()
        if isinstance(said, Refused): break
    assert said.reason == "rate" and said.data["retryAfter"] > 0, said.data
    # It is not executed, and may come again as it is.
    assert refused(request, "rate").block is None
    return dict(executed=executed)


PARTS = dict(arguments=check_arguments, rules=check_rules, once=check_once, again=check_again, busy=check_busy, rate=check_rate)

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
