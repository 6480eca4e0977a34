"""Users of a sentinel, side by side with a real one: what they may do, and the files that they are kept in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.node.raw_client import RawClient, parse_reply
from tests.sentinel.running import NAME, OURS, REAL, Deployment, Process
from tests.waiting import wait_for

BY_DEFAULT_USER = """
ACL WHOAMI
ACL LIST
ACL USERS
ACL CAT
ACL CAT nosuch
ACL GETUSER default
ACL GETUSER nosuch
ACL SETUSER a on >pw +@all -sentinel|set ~x &y
ACL SETUSER b on >pw -@all +ping +auth +sentinel|masters +subscribe &+*
ACL SETUSER c +get
ACL SETUSER c +@nosuch
ACL SETUSER c +sentinel|nosuch
ACL SETUSER c +ping|x +@pubsub
ACL SETUSER c foo
ACL SETUSER d on nopass allcommands
ACL SETUSER d (+sentinel|masters ~a) (-@all
ACL USERS
ACL GETUSER a
ACL DRYRUN a get x
ACL DRYRUN a sentinel set
ACL DRYRUN a sentinel set a b c
ACL DRYRUN b subscribe foo
ACL DRYRUN b subscribe +sdown
ACL DRYRUN b psubscribe +*
ACL DRYRUN nosuch info
ACL LOG
ACL LOG RESET
ACL SAVE
ACL LOAD
ACL HELP
ACL NOSUCH
ACL
CLIENT KILL USER nosuch
AUTH b wrong
AUTH b pw
ACL WHOAMI
"""
BY_B = """
PING
SENTINEL CKQUORUM mym
SENTINEL SET mym quorum 1
CLIENT LIST
INFO
ROLE
HELLO
SUBSCRIBE foo
PSUBSCRIBE *
NOSUCH
SUBSCRIBE +sdown
PING
"""
AFTERWARDS = """
AUTH a pw
SENTINEL SET mym quorum 1
SENTINEL CKQUORUM nosuch
SUBSCRIBE x
ACL DELUSER b nosuch
ACL DELUSER default
ACL SETUSER default off
AUTH default any
AUTH any
HELLO 2 AUTH d any
ACL WHOAMI
ACL SETUSER default on
"""


BY_OTHER_NAMES = """
SHUTDOWN
ACL WHOAMI
RULES WHOAMI
RULES SETUSER x +rules
RULES SETUSER x +@all -shutdown
RULES LIST
PING
"""


@pytest.fixture
def deployment(tmp_path: Path, start_redis: object) -> Iterator[Deployment]:
    del start_redis  # it is asked for because it knows what to do where redis-server is missing
    made = Deployment(tmp_path)
    made.redis()
    yield made
    made.close()


@pytest.fixture
def pair(deployment: Deployment) -> tuple[Process, Process]:
    """Our sentinel and a real one."""
    ours, theirs = deployment.sentinel(OURS), deployment.sentinel(REAL)
    deployment.wait_acquainted(replicas=0)
    return ours, theirs


def _answers(client: RawClient, script: str) -> list[tuple[str, Any]]:
    """Each line with its reply; HELLO's without the client's id."""
    said = [(line, client.ask(*line.split())) for line in script.strip().splitlines()]
    return [(line, reply[:20] if line.startswith("HELLO") else reply) for line, reply in said]


def _refusals(client: RawClient) -> list[dict[bytes, Any]]:
    """ACL LOG, without times, addresses, and what came after 7.0."""
    entries = [dict(zip(row[::2], row[1::2], strict=True)) for row in parse_reply(client.ask("ACL", "LOG", "100"))]
    return [
        {name: entry[name] for name in (b"count", b"reason", b"context", b"object", b"username")} for entry in entries
    ]


def test_what_users_may_do(pair: tuple[Process, Process]) -> None:
    told = []
    for sentinel in pair:
        default, b = RawClient(sentinel.port), RawClient(sentinel.port)
        said = _answers(default, BY_DEFAULT_USER)
        assert b.ask("AUTH", "b", "pw") == b"+OK\r\n"
        said += _answers(b, BY_B)
        default.close()
        default = RawClient(sentinel.port)
        refused = _refusals(default)
        said += _answers(default, AFTERWARDS)
        told.append((said, refused))
        # Who is deleted is hung up on.
        with pytest.raises((AssertionError, ConnectionError)):
            b.ask("PING")
        b.close()
        default.close()
    for (line, ours), (_, theirs) in zip(told[0][0], told[1][0], strict=True):
        assert ours == theirs, line
    assert told[0][1] == told[1][1]


def test_categories(pair: tuple[Process, Process]) -> None:
    ours, theirs = (sentinel.client for sentinel in pair)
    for category in theirs.acl_cat():
        ours_too = set(ours.acl_cat(category))
        missing = set(theirs.acl_cat(category)) - ours_too
        assert missing <= MISSING, category


# What only makes sense with data; see docs/differences.md.
MISSING = {f"client|{name}" for name in ("caching", "getredir", "pause", "tracking", "trackinginfo", "unpause")}


def test_users_stand_in_the_configuration_file(pair: tuple[Process, Process]) -> None:
    for sentinel in pair:
        client = sentinel.client
        assert client.execute_command(
            "ACL SETUSER", "ops", "on", ">secret", "~b", "+@all", "-shutdown", "(+ping", "~k)"
        )
        assert client.execute_command("ACL SETUSER", "default", ">word", "+@all", "-acl")
        client.execute_command("AUTH", "word")
        client.execute_command("SENTINEL FLUSHCONFIG")
    ours, theirs = ((each.folder / "sentinel.conf").read_text() for each in pair)
    assert _users(ours) == _users(theirs)
    # Each starts from what the other one wrote.
    for sentinel, text in zip(pair, (theirs, ours), strict=True):
        sentinel.kill()
        port = next(line for line in (sentinel.folder / "sentinel.conf").read_text().splitlines() if "port" in line)
        other = next(line for line in text.splitlines() if line.startswith("port"))
        (sentinel.folder / "sentinel.conf").write_text(text.replace(other, port))
        sentinel.start()
    for sentinel in pair:
        client = redis.Redis(port=sentinel.port, username="ops", password="secret", protocol=2)
        wait_for(lambda c=client: _answers_ping(c), what="a sentinel's PONG")
        assert client.execute_command("ACL WHOAMI") == "ops"
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command("SHUTDOWN")
        client.close()


def _users(text: str) -> str:
    return "\n".join(sorted(line for line in text.splitlines() if line.startswith("user ")))


def _answers_ping(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_an_acl_file(deployment: Deployment) -> None:
    found = []
    for program in (OURS, REAL):
        sentinel = deployment.sentinel(program, more="aclfile users.acl\n", password="word")
        (sentinel.folder / "users.acl").write_text("user default on >word ~* &* +@all\nuser ops on >secret +ping\n")
        wait_for(sentinel.answers, what="a sentinel's PONG")
        client = sentinel.client
        client.execute_command("ACL SETUSER", "new", "on")
        client.execute_command("ACL SAVE")
        client.execute_command("SENTINEL FLUSHCONFIG")
        saved = (sentinel.folder / "users.acl").read_text()
        (sentinel.folder / "users.acl").write_text(saved + "user new on\n")
        with pytest.raises(redis.ResponseError, match="Duplicate user 'new' found on line 4"):
            client.execute_command("ACL LOAD")
        (sentinel.folder / "users.acl").write_text(saved.replace("new", "other"))
        client.execute_command("ACL LOAD")
        found.append(
            (saved, client.execute_command("ACL USERS"), _users((sentinel.folder / "sentinel.conf").read_text()))
        )
    assert found[0] == found[1]


def test_sentinels_log_in_to_each_other(deployment: Deployment) -> None:
    for program in (OURS, OURS, REAL):
        deployment.sentinel(program)
    deployment.wait_acquainted(replicas=0)
    clients = []
    for sentinel in deployment.sentinels:
        client = redis.Redis(port=sentinel.port, username="peer", password="secret", protocol=2)
        clients.append(client)
        sentinel.client.execute_command("ACL SETUSER", "peer", "on", ">secret", "+@all")
        client.execute_command("ACL SETUSER", "default", "off")
        client.execute_command("CLIENT KILL", "USER", "default")
    wait_for(
        lambda: all(_quorum(client) is False for client in clients), what="sentinels that do not let each other in"
    )
    for client in clients:
        client.execute_command("SENTINEL CONFIG SET", "sentinel-user", "peer")
        client.execute_command("SENTINEL CONFIG SET", "sentinel-pass", "secret")
    wait_for(lambda: all(_quorum(client) for client in clients), what="sentinels that know each other again")
    for client in clients:
        client.close()


def _quorum(client: redis.Redis) -> bool:
    try:
        client.execute_command("SENTINEL CKQUORUM", NAME)
    except redis.ResponseError:
        return False
    return True


def test_commands_by_other_names(deployment: Deployment) -> None:
    more = 'rename-command shutdown ""\nrename-command acl rules\nrename-command ping PING\n'
    said = []
    for program in (OURS, REAL):
        sentinel = deployment.sentinel(program, more=more)
        wait_for(sentinel.answers, what="a sentinel's PONG")
        client = RawClient(sentinel.port)
        said.append(_answers(client, BY_OTHER_NAMES))
        client.close()
    assert said[0] == said[1]


@pytest.mark.parametrize("more", ["user x on\naclfile users.acl\n", "user x +nosuch\n", "aclfile nosuch.acl\n"])
def test_what_keeps_it_from_starting(more: str, deployment: Deployment) -> None:
    told = []
    for program in (OURS, REAL):
        sentinel = deployment.sentinel(program, more=more)
        wait_for(lambda s=sentinel: not s.alive, what="the end of the sentinel")
        told.append([line.partition(" # ")[2] for line in sentinel.log.splitlines() if "ACL" in line])
    assert told[0] == [line for line in told[1] if "Critical" not in line]
    assert told[0]


def test_redis_cli_gives_a_name(pair: tuple[Process, Process]) -> None:
    said = []
    for sentinel in pair:
        sentinel.client.execute_command("ACL SETUSER", "ops", "on", ">secret", "+sentinel|get-master-addr-by-name")
        command = ["redis-cli", "-p", str(sentinel.port), "--user", "ops", "--pass", "secret", "--no-auth-warning"]
        ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]
        done = [
            subprocess.run([*command, *words], capture_output=True, text=True, timeout=10) for words in (ask, ["INFO"])
        ]
        said.append([(each.stdout, each.stderr) for each in done])
    assert said[0] == said[1]
    assert "127.0.0.1" in said[0][0][0]
