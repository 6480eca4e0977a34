"""Conversations about the connection itself, held with both servers."""

from __future__ import annotations

import re
from functools import partial

import pytest

from runtime.quoting import split_quoted
from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for
from wire.encoder import encode_command

CONVERSATIONS = {
    "ping and echo": """
        ping
        PING a
        ping a b
        echo x
        echo
    """,
    "hello": """
        hello 4
        hello abc
        hello 2 foo
        hello 3 auth a
        hello 2 auth default x
        hello 2 auth nosuch x
        hello 2 setname "a b"
        client getname
        hello 2 setname foo
        client getname
        hello 3 setname
        hello 3
        client getname
        ping
        config get nosuch
        client trackinginfo
        hello
        hello 2
    """,
    "auth without a password": """
        auth x
        auth default x
        auth bad x
        auth a b c
    """,
    "names": """
        client getname
        client setname "a b"
        client setname "a\\nb"
        client setname abc
        client getname
        client setname ""
        client getname
    """,
    "switches": """
        client no-evict on
        client no-evict foo
        client reply foo
        client reply on
        client getredir
        client trackinginfo
        client tracking foo
        client tracking off
        client caching yes
        client foo
        client
        client help
    """,
    "kill": """
        client kill foo
        client kill 1.2.3.4:5
        client kill id abc
        client kill id 0
        client kill id -1
        client kill id 9999999
        client kill type foo
        client kill type normal skipme
        client kill type pubsub
        client kill foo bar
        client kill user nosuch
        client kill user default skipme foo
        client kill addr 1.2.3.4:1 laddr a id 7
        client kill skipme no id 9999999
    """,
    "unblock": """
        client unblock abc
        client unblock 9999999
        client unblock 1 foo
        client unblock 1 timeout extra
    """,
    "pause": """
        client pause abc
        client pause -1
        client pause 10 foo
        client pause 10 write foo
        client pause 0
        client pause 1 write
        client unpause
        ping
    """,
    "list": """
        client list id
        client list id abc
        client list id 9999999
        client list type foo
        client list type master
        client list foo
        client list type
    """,
    "databases": """
        select 1
        select 16
        select abc
        select -1
        select 99999999999999999999
        set a 1
        select 0
        get a
    """,
    "reset": """
        client setname foo
        select 3
        multi
        set a 1
        reset
        exec
        client getname
        subscribe a
        reset
        ping
        hello 3
        reset
        config get nosuch
        get a
    """,
    "transactions": """
        multi
        auth x
        client id
        hello 3
        discard
        multi
        nosuch
        client setname x
        exec
        client getname
    """,
}


def lines_of(conversation: str) -> list[list[bytes]]:
    lines = [split_quoted(line.strip().encode()) for line in conversation.strip().splitlines()]
    return [line for line in lines if line]


def masked(reply: bytes) -> bytes:
    """Client ids differ between servers."""
    return re.sub(rb"(\$2\r\nid\r\n|^):\d+", rb"\1:#", reply)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(name: str, pair: Pair) -> None:
    ours, theirs = pair.connect()
    for words in lines_of(CONVERSATIONS[name]):
        assert (words, masked(ours.ask(*words))) == (words, masked(theirs.ask(*words)))


def test_replies_switched_off_and_skipped(pair: Pair) -> None:
    script: list[tuple[str, ...]] = [
        ("CLIENT", "REPLY", "SKIP"),
        ("ECHO", "skipped"),
        ("ECHO", "shown"),
        ("CLIENT", "REPLY", "OFF"),
        ("ECHO", "off"),
        ("CLIENT", "REPLY", "SKIP"),
        ("NOSUCH",),
        ("CLIENT", "REPLY", "ON"),
        ("ECHO", "end"),
    ]
    answers = []
    for client in pair.connect():
        client.send(b"".join(encode_command([word.encode() for word in words]) for words in script))
        answers.append([client.read_reply() for _ in range(3)])
    assert answers == [[b"$5\r\nshown\r\n", b"+OK\r\n", b"$3\r\nend\r\n"]] * 2


def test_a_line_of_client_list(pair: Pair) -> None:
    """The same fields in the same order; the library's name, of a later Redis, stands behind them."""
    lines = []
    for client in pair.connect():
        client.ask("CLIENT", "SETNAME", "me")
        client.ask("SELECT", "2")
        client.ask("MULTI")
        client.ask("EXEC")
        reply = client.ask("CLIENT", "INFO").split(b"\r\n")[1].decode().strip()
        lines.append(dict(field.split("=", 1) for field in reply.split(" ")))
    ours, theirs = lines
    assert list(ours) == [*theirs, "lib-name", "lib-ver"]
    same = ("name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir", "resp", "events")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_what_a_client_holds_in_client_list(pair: Pair) -> None:
    shown = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        number = client.ask("CLIENT", "ID")[1:-2].decode()
        line = client.ask("CLIENT", "INFO")
        client.ask("HELLO", "3")
        client.ask("CLIENT", "TRACKING", "ON", "REDIRECT", other.ask("CLIENT", "ID")[1:-2].decode())
        client.ask_all([("MULTI",), ("SET", "k", "v" * 1000)])
        watched = other.ask("CLIENT", "LIST", "ID", number)
        redirected = b" redir=" + other.ask("CLIENT", "ID")[1:-2] + b" " in watched
        queued = int(re.findall(rb"multi-mem=(\d+)", watched)[0])
        shown.append((re.findall(rb" qbuf=(\d+)", line), redirected, 1000 < queued < 2000))
        client.send(b"*2\r\n$3\r\nSET\r\n$5000\r\n" + b"x" * 1000)
        wait_for(lambda client=other, id=number: b" qbuf=0 " not in client.ask("CLIENT", "LIST", "ID", id), what="qbuf")
    # *2, CLIENT and INFO as they came.
    assert shown == [([b"26"], True, True)] * 2


def test_flags_of_client_list(pair: Pair) -> None:
    flags = []
    for port in (pair.ours, pair.theirs):
        asker, subscriber, monitor = RawClient(port), RawClient(port), RawClient(port)
        ids = [int(client.ask("CLIENT", "ID")[1:]) for client in (subscriber, monitor)]
        subscriber.ask("SUBSCRIBE", "a")
        monitor.ask("MONITOR")
        asker.ask("CLIENT", "NO-EVICT", "ON")
        listed = asker.ask("CLIENT", "LIST", "ID", *(str(number) for number in ids)).decode()
        own = asker.ask("CLIENT", "INFO").decode()
        flags.append(re.findall(r" flags=(\w+) ", listed + own))
        for client in (asker, subscriber, monitor):
            client.close()
    assert flags == [["P", "O", "e"]] * 2


def test_kill_ends_others_at_once_and_oneself_after_the_reply(pair: Pair) -> None:
    for port in (pair.ours, pair.theirs):
        killer, victim = RawClient(port), RawClient(port)
        number = victim.ask("CLIENT", "ID")[1:-2]
        assert killer.ask("CLIENT", "KILL", "ID", number) == b":1\r\n"
        with pytest.raises((AssertionError, ConnectionError)):
            victim.ask("PING")
        own = killer.ask("CLIENT", "ID")[1:-2]
        assert killer.ask("CLIENT", "KILL", "ID", own, "SKIPME", "no") == b":1\r\n"
        with pytest.raises((AssertionError, ConnectionError)):
            killer.ask("PING")
        killer.close()
        victim.close()


def test_a_paused_server_answers_when_the_pause_ends(pair: Pair) -> None:
    for port in (pair.ours, pair.theirs):
        pauser, writer, reader = RawClient(port), RawClient(port), RawClient(port)
        assert pauser.ask("CLIENT", "PAUSE", "60000", "WRITE") == b"+OK\r\n"
        writer.send(encode_command([b"SET", b"a", b"1"]) + encode_command([b"GET", b"a"]))
        assert reader.ask("GET", "a") == b"$-1\r\n"
        assert pauser.ask("CLIENT", "UNPAUSE") == b"+OK\r\n"
        assert [writer.read_reply(), writer.read_reply()] == [b"+OK\r\n", b"$1\r\n1\r\n"]
        for client in (pauser, writer, reader):
            client.close()


@pytest.mark.parametrize(("how", "answer"), [("TIMEOUT", b":0\r\n"), ("ERROR", b"-UNBLOCKED client unblocked")])
def test_a_blocked_client_is_unblocked(how: str, answer: bytes, pair: Pair) -> None:
    for port in (pair.ours, pair.theirs):
        blocked, other = RawClient(port), RawClient(port)
        number = blocked.ask("CLIENT", "ID")[1:-2]
        blocked.send(encode_command([b"WAIT", b"1", b"0"]) + encode_command([b"ECHO", b"next"]))
        unblocked = partial(other.ask, "CLIENT", "UNBLOCK", number, how)
        wait_for(lambda ask=unblocked: ask() == b":1\r\n", what="the client's blocking")
        assert blocked.read_reply().startswith(answer)
        assert blocked.read_reply() == b"$4\r\nnext\r\n"
        assert other.ask("CLIENT", "UNBLOCK", number, how) == b":0\r\n"
        for client in (blocked, other):
            client.close()


def test_clients_are_killed_by_their_user(pair: Pair) -> None:
    for client, victim in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("ACL", "SETUSER", "somebody", "on", "nopass", "+@all", "~*")
        assert client.ask("CLIENT", "KILL", "USER", "somebody") == b":0\r\n"
        assert client.ask("CLIENT", "KILL", "USER", "nobody") == b"-ERR No such user 'nobody'\r\n"
        victim.ask("AUTH", "somebody", "any")
        assert client.ask("CLIENT", "KILL", "USER", "somebody") == b":1\r\n"
        client.ask("ACL", "DELUSER", "somebody")


def test_a_transaction_is_refused_when_the_data_have_become_stale_since(pair: Pair) -> None:
    outcomes = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        replies = []
        client.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
        for queued in ("GET", "k"), ("PING",), ("INFO", "clients"):
            client.ask_all([("MULTI",), queued])
            # Nobody listens on port 1, so there is never a link.
            other.ask("REPLICAOF", "127.0.0.1", "1")
            replies.append(client.ask("EXEC")[:80])
            other.ask("REPLICAOF", "NO", "ONE")
        client.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
        outcomes.append([reply.split(b"\r\n")[0] for reply in replies])
    assert outcomes[0] == outcomes[1]
    assert b"MASTERDOWN" in outcomes[0][0]
