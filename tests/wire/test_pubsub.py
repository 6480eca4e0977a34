"""The broker with more patterns than anybody would compile again for each message."""

from __future__ import annotations

import time
from typing import cast

from wire.pubsub import Broker
from wire.reply import Push
from wire.session import Session

_MANY = 3000


class _Listener:
    """As much of a session as the broker touches."""

    def __init__(self) -> None:
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.mask, self.proto = 0, 3
        self.heard: list[Push] = []

    def push(self, message: Push) -> None:
        self.heard.append(message)


def test_a_message_is_compared_with_thousands_of_patterns() -> None:
    broker, told = Broker(), _Listener()
    listener = cast(Session, told)
    for number in range(_MANY):
        broker.psubscribe(listener, b"room:%d:*" % number)
        broker.psubscribe(listener, b"room:?%d:*:end" % number)
    started = time.process_time()
    for number in range(10, 60):
        assert broker.publish(b"room:%d:x:end" % number, b"hello") == 2
    # Each took a fifth of a second when patterns beyond the first thousand were compiled anew.
    assert time.process_time() - started < 2.0
    assert [push[1] for push in told.heard[:2]] == [b"room:?0:*:end", b"room:10:*"]
    for number in range(_MANY):
        broker.punsubscribe(listener, b"room:%d:*" % number)
    assert broker.publish(b"room:10:x:end", b"hello") == 1
    broker.forget(listener)
    assert broker.publish(b"room:10:x:end", b"hello") == 0
    assert not broker.patterns
