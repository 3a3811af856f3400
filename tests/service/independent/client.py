"""A client of services whose callers sign: `Service`, `Caller`. Written from `protocol/FORMAT.md`, on `fixtures/callers/reader.py`.

It believes nothing that it has not checked: heads are signed and grow out of those that it has seen, answers come from receipts, and
refusals are signed.
"""
import base64, http.client, json, sys, time
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(Path(__file__).parents[3] / "fixtures/callers"))
import reader

REFUSED = -32001


def unhex(text, size):
    """Bytes in JSON have one spelling."""
    data = bytes.fromhex(text)
    assert data.hex() == text and len(data) == size, text
    return data


def now(): return time.time_ns() // 1000


class Service:
    """A service at a URL, and the newest head of its log that was verified."""

    def __init__(self, url, seen=None):
        self.address = urlsplit(url)
        self.seen = seen
        shook = self.handshake()
        self.log = unhex(shook["log"], 32)
        self.checked = set()
        self.learn(shook["head"])

    def post(self, text, query=""):
        """Sends JSON text, and returns what the answer says."""
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60)
        try:
            connection.request("POST", (self.address.path or "/") + query, text.encode(), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, (answer.status, said[:500])
            return json.loads(said)
        finally:
            connection.close()

    def handshake(self, **asked):
        return self.post(json.dumps(dict(jsonrpc="2.0", id=0, method="handshake", params=[asked])))["result"]

    def check_head(self, length, hash, sig):
        """Checks the signature of a head, once."""
        if (length, hash, sig) not in self.checked:
            assert reader.is_head_signed(dict(length=length, hash=hash, sig=sig), self.log), "the head is not signed"
            self.checked.add((length, hash, sig))

    def learn(self, told):
        """Takes a signed head, as JSON, that grows out of the one seen."""
        length, hash = told["length"], unhex(told["hash"], 32)
        self.check_head(length, hash, unhex(told["sig"], 64))
        if self.seen is not None:
            shook = self.handshake(consistency=self.seen["length"])
            newest, consistency = shook["head"], shook["consistency"]
            self.check_head(newest["length"], unhex(newest["hash"], 32), unhex(newest["sig"], 64))
            assert consistency["length"] == self.seen["length"]
            whole, cut = reader.grown_from(self.seen["length"], nodes(consistency["nodes"]), newest["length"])
            assert (whole.hex(), cut) == (newest["hash"], self.seen["hash"]), "the log has not grown out of the one seen"
            length, hash = newest["length"], whole
        self.seen = dict(length=length, hash=hash)

    def open(self, receipt):
        """Checks a receipt as it is sent. Returns the length of its head, the block's number and the entry."""
        data = base64.b64decode(receipt + "=" * (-len(receipt) % 4), altchars=b"-_", validate=True)
        assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == receipt
        head, block, entry = reader.open_receipt(data, self.log)
        return head["length"], block, reader.decode(entry)


def nodes(told): return [dict(index=node["index"], hash=unhex(node["hash"], 32), size=node["size"]) for node in told]


class Request:
    """A signed call: the text that is sent, and what is signed in it."""

    def __init__(self, caller, method, args_text, nonce, seen=None, instead=None, sig=None, receipt=True, id=1, key=None):
        self.service, self.key = caller.service, key or caller.key
        self.call = dict(userId=self.key.hex(), methodName=method, args=reader.json_data(args_text), nonce=nonce)
        more = dict(seen=seen, instead=instead)
        self.call |= {name: value for name, value in more.items() if value is not None}
        signed = reader.signed_bytes(self.service.log, method, self.call["args"], nonce, seen, instead)
        sig = sig(signed) if callable(sig) else sig or caller.secret.sign(signed)
        self.call["sig"] = sig
        self.name = reader.call_name(signed, sig)
        self.numbers = {nonce, *(instead or [])}
        shown = dict(key=self.key.hex(), nonce=nonce, sig=sig.hex())
        if seen: shown["seen"] = dict(length=seen["length"], hash=seen["hash"].hex())
        if instead is not None: shown["instead"] = instead
        envelope = json.dumps(dict(jsonrpc="2.0", id=id, method=method, caller=shown, receipt=receipt))
        # The arguments go out as they were written.
        self.text = f'{envelope[:-1]},"params":{args_text}}}'

    def send(self): return self.judge(self.service.post(self.text))

    def judge(self, answer, is_flood=False):
        """Checks the receipt of an answer, or the refusal: a host signs only so many in a second."""
        if "receipt" in answer:
            length, block, entry = self.service.open(answer["receipt"])
            assert block < length and entry["type"] == "call", entry
            return Answer(self, answer, block, entry)
        return Refused(self, answer["error"], is_flood)


class Answer:
    """An entry of the log that is a call of this intention, and its outcome."""

    def __init__(self, request, answer, block, entry):
        self.block, self.call, self.result = block, entry["call"], entry["result"]
        self.at = self.call.pop("at")
        assert self.call["userId"] == request.key.hex(), "a call of somebody else"
        numbers = {self.call["nonce"], *self.call.get("instead", [])}
        assert numbers & request.numbers, "another call"
        if self.call["nonce"] == request.call["nonce"]: assert self.call == request.call, (self.call, request.call)
        same = ("methodName", "args")
        assert [self.call[name] for name in same] == [request.call[name] for name in same], "another intention"
        assert reader.is_call_signed(self.call, request.service.log)
        assert self.call["nonce"] // 1000 <= self.at
        # What stands beside the receipt need not be true, but here it is.
        if "result" in answer: assert same_json(answer["result"], self.result.get("res")), answer
        else: assert self.result.keys() == {"err"} or "fault" in self.result, answer

    def value(self):
        assert self.result.keys() <= {"res", "files"}, self.result
        return self.result.get("res")


def same_json(said, logged): return reader.encode(reader.json_data(json.dumps(said))) == reader.encode(logged)


class Refused:
    """A refusal, signed unless the call's own signature is bad."""

    def __init__(self, request, error, may_be_unsigned=False):
        data = error["data"] if error["code"] == REFUSED else error["refusal"]
        self.code, self.reason, self.now, self.block, self.data = error["code"], data["reason"], data["now"], data.get("block"), data
        assert isinstance(error["message"], str) and error["message"]
        if self.reason == "bad-signature":
            assert "sig" not in data, "a refusal of a call that nobody signed is not signed"
            return
        self.is_signed = "sig" in data
        if not self.is_signed and may_be_unsigned: return
        sig = unhex(data["sig"], 64)
        assert reader.is_refusal_signed(request.service.log, request.name, self.reason, self.now, sig, self.block), data
        # It is this call's, and says nothing else.
        other = bytes([request.name[0] ^ 1]) + request.name[1:]
        assert not reader.is_refusal_signed(request.service.log, other, self.reason, self.now, sig, self.block)
        assert not reader.is_refusal_signed(request.service.log, request.name, self.reason, self.now + 1, sig, self.block)


class Caller:
    """A key, and the greatest nonce that it has signed."""

    def __init__(self, service, seed, latest=0):
        self.service = service
        self.secret = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.key = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.latest = latest

    def nonce(self):
        self.latest = max(self.latest + 1, now())
        return self.latest

    def request(self, method, args_text="[]", nonce=None, **more):
        return Request(self, method, args_text, self.nonce() if nonce is None else nonce, **more)

    def call(self, method, args_text="[]", **more):
        """A call that must be executed: with the newest head that was verified."""
        answer = self.request(method, args_text, seen=self.service.seen, **more).send()
        assert isinstance(answer, Answer), (answer.reason, answer.data)
        return answer
