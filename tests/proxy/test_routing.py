"""Which slot a command belongs to: from our own declarations, and from a real server's COMMAND."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest

from cluster.slots import key_slot
from proxy.routing import RouteTable, declared_specs, specs_from_command_reply
from tests.ports import free_base
from tests.real_redis import RealRedis
from wire.errors import Error

# Command lines, with the keys in capitals.
DECLARED = [
    "GET K",
    "SET K value NX",
    "MGET K1 K2 K3",
    "MSET K1 v K2 v",
    "DEL K1 K2",
    "COPY K1 K2 REPLACE",
    "OBJECT ENCODING K",
    "PING",
    "DBSIZE",
    "SCAN 0 MATCH x",
    "XREAD COUNT 1 STREAMS K1 K2 0 0",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS K1 K2 > >",
    "XINFO STREAM K1",
    "XGROUP CREATE K1 g $",
    # Of Redis 8.
    "MSETEX 2 K1 v K2 v EX 1",
    "XREADGROUP GROUP g c CLAIM 1 STREAMS K1 K2 > >",
]
NEWER = 2
LEARNED = [
    *DECLARED[:-NEWER],
    "EVAL script 2 K1 K2 arg",
    "EVAL script 0 arg",
    "BLPOP K1 K2 0",
    "ZUNIONSTORE K1 2 K2 K3 WEIGHTS 1 2",
    "ZUNION 2 K1 K2 WITHSCORES",
    "LMPOP 2 K1 K2 LEFT",
    "BITOP AND K1 K2 K3",
    "SORT K1 LIMIT 0 1",
    "GEORADIUS K1 1 1 1 m STORE K2",
    "MEMORY USAGE K1",
    "SPUBLISH K1 m",
    "FCALL f 1 K1 arg",
    "LCS K1 K2 IDX",
]


def capitals(line: str) -> list[bytes]:
    """The words that stand for keys."""
    return [word.encode() for word in line.split()[1:] if word[0] == "K" and word[1:] in ("", "1", "2", "3")]


def words(line: str) -> list[bytes]:
    return [word.encode() for word in line.split()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    server = RealRedis(free_base(), tmp_path_factory.mktemp("redis") / "data", ())
    server.wait_ready()
    yield server
    server.kill()


@pytest.fixture(scope="module", params=[2, 3], ids=["RESP2", "RESP3"])
def command_reply(server: RealRedis, request: pytest.FixtureRequest) -> Any:
    """A real server's reply to COMMAND, as hiredis decodes it."""
    with socket.create_connection(server.address) as connection:
        connection.sendall(b"HELLO %d\r\nCOMMAND\r\n" % request.param)
        reader = hiredis.Reader(notEnoughData=StopIteration)
        replies: list[Any] = []
        while len(replies) < 2:
            reader.feed(connection.recv(65536))
            while (reply := reader.gets()) is not StopIteration:
                replies.append(reply)
    return replies[1]


@pytest.mark.parametrize("line", DECLARED)
def test_keys_by_our_declarations(line: str) -> None:
    route = RouteTable(declared_specs()).find(words(line))
    assert route is not None
    assert route.keys(words(line)) == capitals(line)


def test_a_command_without_its_arguments_has_no_keys() -> None:
    """Or fewer; the node says what is wrong with it. ZUNION by itself ended the proxy."""
    for name, route in RouteTable(declared_specs()).by_name.items():
        for argv in ([name], [name, b"x"], [name, b"1"], [name, b"1", b"1"]):
            assert len(route.keys(argv)) < len(argv)


@pytest.mark.parametrize("line", LEARNED)
def test_keys_by_what_a_server_says(command_reply: Any, line: str) -> None:
    route = RouteTable(specs_from_command_reply(command_reply)).find(words(line))
    assert route is not None
    assert route.keys(words(line)) == capitals(line)


def test_flags_by_what_a_server_says(command_reply: Any) -> None:
    table = RouteTable(specs_from_command_reply(command_reply))
    for name, reads, blocks in (
        ("get", True, False),
        ("set", False, False),
        ("blpop", False, True),
        ("eval", False, False),
    ):
        route = table.by_name[name.encode()]
        assert (route.readonly, route.blocking) == (reads, blocks), name
    assert not table.by_name[b"publish"].readonly
    assert table.by_name[b"eval_ro"].readonly


def test_what_is_declared_here_comes_first(command_reply: Any) -> None:
    table = RouteTable(declared_specs())
    own = dict(table.by_name)
    added = {route.name for route in table.add(specs_from_command_reply(command_reply))}
    assert all(table.by_name[name] is route for name, route in own.items())
    assert "blpop" in added or b"blpop" in own
    assert table.add(specs_from_command_reply(command_reply)) == []


def test_our_declarations_agree_with_redis(command_reply: Any) -> None:
    """Both ways of routing lead to the same place, for every command that both know."""
    ours, theirs = RouteTable(declared_specs()), RouteTable(specs_from_command_reply(command_reply))
    compared = 0
    for name, route in ours.by_name.items():
        other = theirs.by_name.get(name)
        if other is None or not name.islower():
            continue
        # Numbers, which may count keys, too.
        argv = [name, *[b"%d" % i for i in range(1, 7)]]
        assert sorted(route.keys(argv)) == sorted(other.keys(argv)), name
        assert (route.blocking, route.readonly, route.write) == (other.blocking, other.readonly, other.write), name
        policies = [[tip for tip in r.spec.tips if "policy" in tip] for r in (route, other)]
        assert sorted(policies[0]) == sorted(policies[1]), name
        compared += 1
    assert compared > 60


def test_slots() -> None:
    table = RouteTable(declared_specs())

    def slot(line: str) -> int | None:
        route = table.find(words(line))
        assert route is not None
        return route.slot(words(line))

    assert slot("GET user:42") == 15880
    assert slot("get {user1000}.following") == 3443
    assert slot("MGET {a}1 {a}2") == key_slot(b"a")
    assert slot("PING") is None
    assert slot("GET") is None
    with pytest.raises(Error, match="CROSSSLOT"):
        slot("MGET a b")
    assert table.find([b"NOSUCH"]) is None
    with pytest.raises(Error, match="unknown subcommand 'NOPE'"):
        table.find([b"OBJECT", b"NOPE"])


@pytest.mark.parametrize("reply", [None, b"x", [1, 2], [[b"get"]], [[b"x", 1, [], 0, 0, 0, [], [], [[b"odd"]], []]]])
def test_replies_that_cannot_be_read_declare_nothing(reply: Any) -> None:
    assert specs_from_command_reply(reply) == []
