"""How a wait for a stream ends when stream or group are gone, and that such errors count for INFO, as in Redis."""

from __future__ import annotations

import re

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import Words
from tests.waiting import wait_for
from wire.encoder import encode_command

# Everything that INFO says of the command but for how long it took, and the errors.
_STATS = re.compile(rb"xreadgroup:(calls=\d+).*?(rejected_calls=.*)|(errorstat_.*)")


@pytest.mark.parametrize(
    "acts",
    [
        [("SET", "stream", "string")],
        [("DEL", "stream")],
        [("MULTI",), ("DEL", "stream"), ("SADD", "stream", "member"), ("EXEC",)],
        [("XGROUP", "DESTROY", "stream", "g")],
        [("CLIENT", "UNBLOCK", "waiter", "ERROR")],
        [("XADD", "stream", "6-1", "field", "value")],
    ],
    ids=lambda acts: " ".join(acts[-2] if acts[-1] == ("EXEC",) else acts[-1]),
)
def test_errors_that_end_a_wait_are_counted(pair: Pair, acts: list[Words]) -> None:
    told = []
    for waiter, actor in zip(pair.connect(), pair.connect(), strict=True):
        actor.ask("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
        # All entries are gone, so there is nothing to read although the last id is ahead of the group's.
        actor.ask("XADD", "stream", "5-1", "field", "value")
        actor.ask("XDEL", "stream", "5-1")
        actor.ask("CONFIG", "RESETSTAT")
        number = waiter.ask("CLIENT", "ID")[1:-2]
        waiter.send(encode_command([*b"XREADGROUP GROUP g consumer BLOCK 0 STREAMS stream >".split()]))
        wait_for(lambda actor=actor: b" flags=b " in actor.ask("CLIENT", "LIST"), what="the client to block")
        for words in acts:
            actor.ask(*(number if word == "waiter" else word for word in words))
        reply = waiter.read_reply()
        stats = actor.ask("INFO", "commandstats", "errorstats")
        told.append((reply, _STATS.findall(stats)))
    assert told[0] == told[1]
