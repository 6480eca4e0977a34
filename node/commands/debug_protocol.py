"""DEBUG PROTOCOL: a reply of each type there is, for tests of clients."""

from __future__ import annotations

from node.call import Call
from wire.errors import Error
from wire.reply import Raw, Reply, ReplySet, Verbatim

_ATTRIBUTE = b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
_PUSH = b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"
# What is no reply of any command: as it is encoded in RESP2 (empty: not at all), and in RESP3.
_ENCODED: dict[bytes, tuple[bytes, bytes]] = {
    b"bignum": (b"$37\r\n1234567999999999999999999999999999999\r\n", b"(1234567999999999999999999999999999999\r\n"),
    b"map": (b"*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", b"%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"),
    b"attrib": (
        b"$39\r\nSome real reply following the attribute\r\n",
        _ATTRIBUTE + b"$39\r\nSome real reply following the attribute\r\n",
    ),
    b"push": (
        b"",
        _PUSH + b"$40\r\nSome real reply following the push reply\r\n",
    ),
    b"double": (b"$5\r\n3.141\r\n", b",3.141\r\n"),
    b"true": (b":1\r\n", b"#t\r\n"),
    b"false": (b":0\r\n", b"#f\r\n"),
}
_PLAIN: dict[bytes, Reply] = {
    b"string": b"Hello World",
    b"integer": 12345,
    b"null": None,
    b"array": [0, 1, 2],
    b"set": ReplySet([0, 1, 2]),
    b"verbatim": Verbatim(b"This is a verbatim\nstring"),
}


def protocol(call: Call) -> Reply:
    name = call.argv[2].lower()
    encoded = _ENCODED.get(name)
    if encoded is not None:
        reply = encoded[call.session.proto > 2]
        if not reply:
            raise Error(b"ERR RESP2 is not supported by this command")
        return Raw(reply)
    if name not in _PLAIN:
        raise Error(
            b"ERR Wrong protocol type name. Please use one of the following: "
            b"string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
        )
    return _PLAIN[name]
