"""What a script declares of itself counts before it runs: alone, queued, and when a transaction is at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words

_LIBRARY = """#!lua name=declared
redis.register_function('writes', function(keys, args) return redis.call('SET', keys[1], '1') end)
redis.register_function{
  function_name='reads', callback=function(keys, args) return redis.call('GET', keys[1]) end, flags={'no-writes'}}
"""
_STATES: dict[str, tuple[Words, ...]] = {
    "replica": (("REPLICAOF", "127.0.0.1", "1"),),
    "stale": (("CONFIG", "SET", "replica-serve-stale-data", "no"), ("REPLICAOF", "127.0.0.1", "1")),
    "too few replicas": (("CONFIG", "SET", "min-replicas-to-write", "1"),),
    "out of memory": (("CONFIG", "SET", "maxmemory", "1"),),
}
_AS_EVER: tuple[Words, ...] = (
    ("REPLICAOF", "NO", "ONE"),
    ("CONFIG", "SET", "replica-serve-stale-data", "yes"),
    ("CONFIG", "SET", "min-replicas-to-write", "0"),
    ("CONFIG", "SET", "maxmemory", "0"),
)
_COMMANDS: tuple[Words, ...] = (
    ("FCALL", "writes", "1", "k"),
    ("FCALL", "reads", "1", "k"),
    ("FCALL_RO", "reads", "1", "k"),
    ("FCALL_RO", "writes", "1", "k"),
    ("FCALL", "nosuch", "0"),
    ("EVAL", "return redis.call('SET', 'k', '1')", "0"),
    ("EVAL", "#!lua\nreturn redis.call('SET', 'k', '1')", "0"),
    ("EVAL", "#!lua flags=no-writes\nreturn redis.call('GET', 'k')", "0"),
    ("EVAL", "#!lua flags=allow-stale,no-writes\nreturn 1", "0"),
    ("EVAL", "#!lua flags=\nreturn 1", "0"),
    ("EVAL", "#!lua flags=no-writes,\nreturn 1", "0"),
    ("EVAL", "#!lua flags=allow-oom\nreturn redis.call('SET', 'k', '1')", "0"),
    ("EVAL_RO", "#!lua\nreturn redis.call('GET', 'k')", "0"),
    ("EVALSHA", "cb70127618f0b0be70c53cf6bfcfa54a29d9b0c0", "0"),
    ("GET", "k"),
    ("SET", "k", "2"),
)


@pytest.fixture
def both(pair: Pair) -> Iterator[Pair]:
    """Both with the scripts, and as they were in the end."""
    for client in pair.connect():
        client.ask("FUNCTION", "LOAD", "REPLACE", _LIBRARY)
        client.ask("SCRIPT", "LOAD", "#!lua\nreturn 1")
    yield pair
    for client in pair.connect():
        _bring_to(client, _AS_EVER)
        client.ask("FUNCTION", "FLUSH")


def _bring_to(client: RawClient, state: tuple[Words, ...]) -> None:
    for words in state:
        client.ask(*words)


@pytest.mark.parametrize("state", _STATES.values(), ids=_STATES)
def test_before_it_runs(both: Pair, state: tuple[Words, ...]) -> None:
    ours, theirs = both.connect()
    for client in (ours, theirs):
        _bring_to(client, state)
    for words in _COMMANDS:
        assert ours.ask(*words) == theirs.ask(*words), words
        transaction: list[Words] = [("MULTI",), words, ("PING",), ("EXEC",)]
        assert ours.ask_all(transaction) == theirs.ask_all(transaction), words


@pytest.mark.parametrize("state", _STATES.values(), ids=_STATES)
def test_when_it_was_queued_before(both: Pair, state: tuple[Words, ...]) -> None:
    clients, others = both.connect(), both.connect()
    for words in _COMMANDS:
        replies = []
        for client, other in zip(clients, others, strict=True):
            queued = client.ask_all([("MULTI",), words])
            _bring_to(other, state)
            replies.append([*queued, client.ask("EXEC")])
            _bring_to(other, _AS_EVER)
        assert replies[0] == replies[1], words
