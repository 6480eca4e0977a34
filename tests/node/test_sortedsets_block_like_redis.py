"""Clients that wait for sorted sets: who is served, with what, and what replicas are told, as a real server does it."""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair
from tests.node.differential import Replicas
from tests.node.raw_client import RawClient
from tests.waiting import wait_for

# What waits, one client each, in this order; then what another client does.
_SCENES = {
    "lowest of one": (["BZPOPMIN z 0"], ["ZADD z 2 b 1 a"]),
    "highest of one": (["BZPOPMAX z 0"], ["ZADD z 2 b 1 a"]),
    "several keys": (["BZPOPMIN y z 0"], ["ZADD z 1 a", "ZADD y 1 b"]),
    "first come": (["BZPOPMIN z 0", "BZPOPMAX z 0", "BZPOPMIN z 0"], ["ZADD z 1 a 2 b 3 c 4 d"]),
    "one for two": (["BZPOPMIN z 0", "BZMPOP 0 1 z MIN"], ["ZADD z 1 a", "ZINCRBY z 5 b"]),
    "many at once": (["BZMPOP 0 2 y z MAX COUNT 2"], ["ZADD z 1 a 2 b 3 c"]),
    "another type": (["BZPOPMIN z 0"], ["SET z string", "DEL z", "ZADD z 1 a"]),
    "in a transaction": (["BZPOPMIN z 0"], ["MULTI", "ZADD z 1 a", "ZADD z 0 b", "ZREM z a", "EXEC"]),
    "gone again": (["BZPOPMIN z 0.3"], ["MULTI", "ZADD z 1 a", "DEL z", "EXEC"]),
    "stored": (["BZPOPMIN z 0"], ["ZADD y 1 a 2 b", "ZUNIONSTORE z 1 y"]),
    "renamed": (["BZPOPMIN z 0"], ["ZADD y 1 a", "RENAME y z"]),
    "out of time": (["BZPOPMIN z 0.1", "BZMPOP 0.1 1 z MAX"], []),
}


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("scene", _SCENES)
def test_who_waits_is_served(pair: Pair, replicas: Replicas, scene: str, proto: str) -> None:
    waiting, doing = _SCENES[scene]
    both = [_play(pair.connect()[at], [pair.connect()[at] for _ in waiting], waiting, doing, proto) for at in (0, 1)]
    assert both[0] == both[1]
    ours, theirs = (replica.read_until(b"the end") for replica in replicas)
    assert ours == theirs


def _play(writer: RawClient, waiters: list[RawClient], waiting: list[str], doing: list[str], proto: str) -> list[bytes]:
    for number, (waiter, line) in enumerate(zip(waiters, waiting, strict=True), start=1):
        waiter.ask("HELLO", proto)
        waiter.send(line.encode() + b"\r\n")
        wait_for(lambda: _blocked(writer) == number, what=f"{number} blocked clients")  # noqa: B023 - at once
    replies = [writer.ask(*line.split()) for line in doing]
    if len(doing) == 0 or "0." in waiting[0]:
        wait_for(lambda: _blocked(writer) == 0, what="the timeouts")
    served = len(waiters) - _blocked(writer)
    replies += [waiter.read_reply() for waiter in waiters[:served]]
    for waiter in waiters:
        waiter.close()
    wait_for(lambda: _blocked(writer) == 0, what="the end of those that still wait")
    writer.ask("PUBLISH", "the end", "the end")
    return [*replies, b"%d" % served]


def _blocked(client: RawClient) -> int:
    info = client.ask("INFO", "clients")
    return int(info.split(b"blocked_clients:")[1].split(b"\r\n")[0])
