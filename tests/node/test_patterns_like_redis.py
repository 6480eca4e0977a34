"""Random patterns, hostile ones included, through KEYS, PSUBSCRIBE and CONFIG GET of both servers."""

from __future__ import annotations

import random

from tests.node.conftest import Pair
from tests.node.raw_client import bulk_strings

# Every sign that means something in a pattern, some letters, and bytes that are no text.
_SIGNS = [b"*", b"?", b"[", b"]", b"^", b"-", b"\\", b"a", b"b", b"c", b"\n", b"\xff"]
_LETTERS = [b"a", b"b", b"c", b"]", b"^", b"-", b"\\", b"*", b"\n", b"\xff", b"["]


def test_random_patterns(pair: Pair) -> None:
    rng = random.Random(7)
    keys = {b"".join(rng.choices(_LETTERS, k=rng.randrange(1, 5))) for _ in range(300)}
    patterns = [b"".join(rng.choices(_SIGNS, k=rng.randrange(7))) for _ in range(3000)]
    found = []
    for client in pair.connect():
        client.ask("MSET", *(word for key in sorted(keys) for word in (key, b"1")))
        replies = client.ask_all([("KEYS", pattern) for pattern in patterns])
        found.append([sorted(bulk_strings(reply)) for reply in replies])
    ours, theirs = found
    differing = [pattern for pattern, one, other in zip(patterns, ours, theirs, strict=True) if one != other]
    assert not differing
    assert sum(map(len, ours)) > 1000, "the patterns must have matched something"


def test_patterns_of_subscriptions(pair: Pair) -> None:
    rng = random.Random(8)
    patterns = [b"".join(rng.choices(_SIGNS, k=rng.randrange(1, 5))) for _ in range(200)]
    channels = [b"".join(rng.choices(_LETTERS, k=rng.randrange(1, 4))) for _ in range(100)]
    counts = []
    for publisher, subscriber in zip(pair.connect(), pair.connect(), strict=True):
        subscriber.ask_all([("PSUBSCRIBE", pattern) for pattern in patterns])
        counts.append(publisher.ask_all([("PUBLISH", channel, b"x") for channel in channels]))
    assert counts[0] == counts[1]
