"""What happens to a sentinel, and what it does about it: the events and effects of its machine.

Effects come in the order in which they must be performed. `Save` is the first of its step: whatever
leaves in that step may rest on what it saves. Links are named by number; the machine decides when
one is opened and closed, `links.py` owns the sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runtime import Level
from sentinel.requests import Request
from sentinel.settings import MasterOptions, Memory


class Half(StrEnum):
    """The two connections of a link: a sentinel listens to an instance on one and commands it on the other.

    Texts, because they are parts of keys, and the hash of a plain enumeration's member is a call of Python code.
    """

    COMMAND = "cmd"
    PUBSUB = "pubsub"


@dataclass(frozen=True, slots=True)
class Tick:
    """The time of `deadline()` has come."""


@dataclass(frozen=True, slots=True)
class Connected:
    link: int
    half: Half
    # The address of our end, which is what we call ourselves in hello messages.
    local_ip: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended, or an attempt at one failed."""

    link: int
    half: Half
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply: bytes, int, None, a list, or an exception that stands for an error reply."""

    link: int
    request: Request
    reply: object


@dataclass(frozen=True, slots=True)
class Heard:
    """A message on the hello channel of a master or replica."""

    link: int
    hello: str


@dataclass(frozen=True, slots=True)
class Told:
    """A hello that another sentinel published to us directly."""

    hello: str


@dataclass(frozen=True, slots=True)
class Asked:
    """SENTINEL IS-MASTER-DOWN-BY-ADDR from another sentinel; answered by an `Answer`."""

    ip: str
    port: int
    epoch: int
    candidate: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name resolves to now; None when it does not."""

    host: str
    ip: str | None


@dataclass(frozen=True, slots=True)
class Unsaved:
    """The last `Save` failed."""


@dataclass(frozen=True, slots=True)
class Monitor:
    """SENTINEL MONITOR: watch one more master. `ip` is what `host` resolved to."""

    name: str
    host: str
    ip: str
    port: int
    quorum: int


@dataclass(frozen=True, slots=True)
class Remove:
    name: str


@dataclass(frozen=True, slots=True)
class Reset:
    """SENTINEL RESET: forget replicas and sentinels of these masters."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """SENTINEL SET: new options, and what to announce for each changed one."""

    name: str
    options: MasterOptions
    changes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReconfigureSelf:
    """SENTINEL CONFIG SET: fields of `Memory` and their new values."""

    changes: tuple[tuple[str, str | int | bool | None], ...]


@dataclass(frozen=True, slots=True)
class ForceFailover:
    """SENTINEL FAILOVER: without asking anybody."""

    name: str


@dataclass(frozen=True, slots=True)
class SimulateFailure:
    """SENTINEL SIMULATE-FAILURE: end this process at a bad moment."""

    crash_after_election: bool
    crash_after_promotion: bool


@dataclass(frozen=True, slots=True)
class Flush:
    """SENTINEL FLUSHCONFIG."""


Event = (
    Tick
    | Connected
    | Disconnected
    | Answered
    | Heard
    | Told
    | Asked
    | Resolved
    | Unsaved
    | Monitor
    | Remove
    | Reset
    | Reconfigure
    | ReconfigureSelf
    | ForceFailover
    | SimulateFailure
    | Flush
)


@dataclass(frozen=True, slots=True)
class Save:
    """Put this on disk, durably, before anything else of the step happens."""

    memory: Memory


@dataclass(frozen=True, slots=True)
class Open:
    """Connect one half of a link; answered by `Connected` or `Disconnected`."""

    link: int
    half: Half
    ip: str
    port: int
    # A connection not made in this time is a failed one.
    timeout_ms: int
    user: str | None
    password: str | None
    renamed_commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Close one half of a link; nothing is reported about it afterwards."""

    link: int
    half: Half


@dataclass(frozen=True, slots=True)
class Send:
    link: int
    request: Request


@dataclass(frozen=True, slots=True)
class Resolve:
    """Look a name up; answered by `Resolved`."""

    host: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell subscribers and the log. Those of level DEBUG are only logged."""

    level: Level
    channel: str
    payload: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on a question or an operator's command: the reply, or the text of an error."""

    value: tuple[int, str, int] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Crash:
    """SENTINEL SIMULATE-FAILURE asked for the end of the process at this point."""


Effect = Save | Open | Close | Send | Resolve | Announce | Answer | Crash
