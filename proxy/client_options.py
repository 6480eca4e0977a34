"""How the smart client behaves, and what it raises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from proxy.routing import Route
from wire.outward import Greeting, NotSentError

# Writes that leave the same data behind when they are done twice (their replies may differ: DEL's count).
_SAME_WHEN_REPEATED = frozenset(
    (
        *("set", "setex", "psetex", "mset", "setrange", "setbit", "del", "unlink", "persist", "expireat", "pexpireat"),
        *("hset", "hmset", "hdel", "sadd", "srem", "zrem"),
    )
)
# ... and the options that make a SET depend on what is there.
_CONDITIONS = frozenset((b"NX", b"XX", b"GET", b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"))
_NOTHING_SAID = Greeting()


class Repeat(IntEnum):
    """Which commands are sent again when it is not known whether they were executed: the connection broke, or the node
    fell silent, after they had been sent.

    Even a write that changes nothing when repeated is not harmless: A's SET is executed and its answer lost, B sets
    something else, and A's repetition undoes what B did. So the default is reads only, and the rest is the caller's
    decision.
    """

    READS = 0
    # Also writes that leave the same data behind when done twice, like SET and DEL.
    IDEMPOTENT = 1
    # Everything, INCR included: at least once instead of at most once.
    ALL = 2

    def allows(self, route: Route | None, argv: Sequence[bytes]) -> bool:
        """Whether this command may be sent again."""
        if self is Repeat.ALL:
            return True
        if route is None:
            return False
        if route.readonly:
            return True
        if self is Repeat.READS or route.name not in _SAME_WHEN_REPEATED:
            return False
        return route.name != "set" or not any(word.upper() in _CONDITIONS for word in argv[3:])


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Everything that can be chosen."""

    greeting: Greeting = _NOTHING_SAID
    # How long a command is tried while nobody can execute it: the length of a failover, and some more.
    deadline_ms: int = 10_000
    connect_timeout_ms: int = 1000
    # A node that owes replies and says nothing for so long is given up; what it owes has an unknown outcome.
    silence_timeout_ms: int = 2000
    repeat: Repeat = Repeat.READS
    # Reads may go to replicas, and see what the master had a moment ago.
    read_from_replicas: bool = False


class NotExecutedError(NotSentError):
    """Until the deadline nobody could execute the command; it definitely did not happen."""
