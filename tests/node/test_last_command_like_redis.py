"""Which command a client sent last, as CLIENT LIST and ACL LOG tell of it."""

from __future__ import annotations

import re

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, as_integer, parse_reply

# What is refused counts, too; what is no command leaves none.
_COMMANDS = """
PING
NOSUCH
GET
GET a b
CLIENT
CLIENT foo
CLIENT GETNAME x
MULTI
GET a
NOSUCH
EXEC
AUTH foo x
INCR a
SELECT x
EVAL return(0) 0
SUBSCRIBE ch
GET a
UNSUBSCRIBE ch
OBJECT ENCODING
RESET
"""


def test_in_the_list_of_clients(pair: Pair) -> None:
    told = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        other.ask("ACL", "SETUSER", "foo", "nopass", "on", "+@all", "-incr", "~*")
        own_id = as_integer(client.ask("CLIENT", "ID"))
        told.append([(line, _asked(client, other, own_id, line)) for line in _COMMANDS.split("\n") if line])
        other.ask("ACL", "DELUSER", "foo")
    assert told[0] == told[1]


def _asked(client: RawClient, other: RawClient, own_id: int, line: str) -> str:
    client.ask(*line.split())
    (shown,) = re.findall(rb" cmd=(\S+)", other.ask("CLIENT", "LIST", "ID", str(own_id)))
    return str(shown.decode())


def test_in_the_log_of_what_was_denied(pair: Pair) -> None:
    told = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        other.ask("ACL", "LOG", "RESET")
        other.ask("ACL", "SETUSER", "bar", "nopass", "on", "+@all", "-get", "-incr", "~*")
        own_id = as_integer(client.ask("CLIENT", "ID"))
        client.ask("AUTH", "bar", "x")
        client.ask("GET", "a")
        client.ask("EVAL", "redis.call('INCR', 'a')", "0")
        client.ask_all([("MULTI",), ("GET", "a"), ("EXEC",)])
        lines = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in parse_reply(other.ask("ACL", "LOG"))]
        shown = [dict(word.split(b"=", 1) for word in line[b"client-info"].split()) for line in lines]
        assert {int(fields[b"id"]) for fields in shown} == {own_id}
        other.ask("ACL", "DELUSER", "bar")
        told.append([(line[b"context"], fields[b"cmd"]) for line, fields in zip(lines, shown, strict=True)])
    assert told[0] == told[1]
