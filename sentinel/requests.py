"""What a sentinel asks of an instance, and how each question is spelt in RESP.

The machine speaks in these types and never sees a byte; `links.py` sends what `spell` makes of
them and hands the reply back together with the request it answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

HELLO_CHANNEL = "__sentinel__:hello"

Spelt = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Ping:
    # Whether the request rests on something that must be on disk before it leaves.
    rests_on_save: ClassVar[bool] = False

    def words(self) -> Spelt:
        return (("PING",),)


@dataclass(frozen=True, slots=True)
class Info:
    rests_on_save: ClassVar[bool] = False

    def words(self) -> Spelt:
        return (("INFO",),)


@dataclass(frozen=True, slots=True)
class ClusterNodes:
    """Asked of a cluster node that calls itself master, to learn whether it serves any slot."""

    rests_on_save: ClassVar[bool] = False

    def words(self) -> Spelt:
        return (("CLUSTER", "NODES"),)


@dataclass(frozen=True, slots=True)
class Publish:
    """Our hello, to everyone who listens on this instance (or to this sentinel directly)."""

    rests_on_save: ClassVar[bool] = True
    hello: str

    def words(self) -> Spelt:
        return (("PUBLISH", HELLO_CHANNEL, self.hello),)


@dataclass(frozen=True, slots=True)
class AskDown:
    """Is this master down for you as well? With a candidate instead of ``*``: and will you vote for it?"""

    rests_on_save: ClassVar[bool] = True
    # Which of our masters the question is about; not sent, the other side may call it differently.
    master: str
    ip: str
    port: int
    epoch: int
    candidate: str

    def words(self) -> Spelt:
        return (("SENTINEL", "is-master-down-by-addr", self.ip, str(self.port), str(self.epoch), self.candidate),)


@dataclass(frozen=True, slots=True)
class Follow:
    """Become a replica of `ip`:`port`, or, without them, a master.

    In a transaction, so that the new role is in the instance's configuration file and its clients are cut off
    (and so look for the master anew) or nothing of it happens.
    """

    rests_on_save: ClassVar[bool] = True
    ip: str | None = None
    port: int = 0

    def words(self) -> Spelt:
        role = ("SLAVEOF", "NO", "ONE") if self.ip is None else ("SLAVEOF", self.ip, str(self.port))
        kill = ("CLIENT", "KILL", "TYPE")
        return (("MULTI",), role, ("CONFIG", "REWRITE"), (*kill, "normal"), (*kill, "pubsub"), ("EXEC",))


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Become the master of your shard of the cluster without asking the other masters.

    The sentinels' majority stands in for theirs, which is why this works with one or two masters too.
    """

    rests_on_save: ClassVar[bool] = True

    def words(self) -> Spelt:
        return (("CLUSTER", "FAILOVER", "TAKEOVER"),)


@dataclass(frozen=True, slots=True)
class KillScript:
    """Stop the script that keeps the instance from answering."""

    rests_on_save: ClassVar[bool] = False

    def words(self) -> Spelt:
        return (("SCRIPT", "KILL"),)


Request = Ping | Info | ClusterNodes | Publish | AskDown | Follow | TakeOver | KillScript


def spell(request: Request, renamed: Mapping[str, str]) -> list[tuple[bytes, ...]]:
    """The commands of `request`, with the names the instance's operator gave them."""
    return [
        tuple(word.encode("utf-8", "surrogateescape") for word in (renamed.get(name.lower(), name), *arguments))
        for name, *arguments in request.words()
    ]
