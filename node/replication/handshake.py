"""The replica's side of the handshake: reply lines in, requests and an outcome out.

Pure: the driver (`upstream`) owns the socket and the clock. The order is Redis': PING; then AUTH and the
REPLCONFs in one burst; then PSYNC, whose answer is the outcome. A master that does not know PSYNC is
asked with SYNC and sends its copy without saying which history it belongs to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from wire.encoder import encode_command


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a replica says about itself and asks for."""

    # Arguments of AUTH: none, a password, or a user and a password.
    auth: tuple[bytes, ...]
    # The port (and, if not empty, the address) at which clients and sentinels reach it.
    port: int
    ip: bytes
    # The history it has and the first byte it wants; (b"?", -1) when it has nothing.
    replid: bytes
    offset: int
    # The master is asked to be promoted: a planned FAILOVER.
    failover: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Resync:
    """A full copy follows; `replid` is empty after SYNC, which names neither history nor offset."""

    replid: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stream goes on where it broke; `replid` is the history's name now, empty if it is as it was."""

    replid: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """Give up this connection and try again later; the reason is for the log."""

    reason: str
    # The refusal was the answer to PSYNC: a planned failover ends there.
    psync_refused: bool = False


Step = Request | Resync | Resumed | Failed

# What a master of before PSYNC is told; its copy comes without a further word.
_SYNC = Request(b"SYNC\r\n")

# Refusals of PING that only say: authenticate first. And a master that cannot save takes no writes, and says so to
# PING, too; it gives copies all the same, and just then its data had better be elsewhere as well.
_PING_REFUSALS = (b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted", b"-MISCONF")
# Refusals of PSYNC that will pass.
_PASSING = (b"-NOMASTERLINK", b"-LOADING")


class Phase(Enum):
    """What the handshake waits for."""

    PING = auto()
    INTRODUCTION = auto()
    PSYNC = auto()
    OVER = auto()


class Handshake:
    """One handshake, on one connection."""

    __slots__ = ("_expected", "_introduction", "phase")

    def __init__(self, introduction: Introduction) -> None:
        self._introduction = introduction
        # Where it stands.
        self.phase = Phase.PING
        # What to make of each reply of the burst that is still to come: why to give up, or nothing.
        self._expected: deque[Callable[[bytes], str]] = deque()

    def begin(self) -> Request:
        return Request(encode_command([b"PING"]))

    def receive(self, line: bytes) -> list[Step]:
        """The master's next reply line, without its line end; what to do about it, in order."""
        if self.phase is Phase.PING:
            return self._on_ping(line)
        if self.phase is Phase.INTRODUCTION:
            return self._on_introduction(line)
        assert self.phase is Phase.PSYNC, "a line after the handshake"
        return self._on_psync(line)

    def _on_ping(self, line: bytes) -> list[Step]:
        if not line.startswith((b"+", *_PING_REFUSALS)):
            return self._fail(f"Error reply to PING from master: '{_shown(line)}'")
        self.phase = Phase.INTRODUCTION
        introduction = self._introduction
        requests = []
        if introduction.auth:
            requests.append(encode_command([b"AUTH", *introduction.auth]))
            self._expected.append(_check_auth)
        options = [[b"listening-port", b"%d" % introduction.port]]
        if introduction.ip:
            options.append([b"ip-address", introduction.ip])
        options.append([b"capa", b"eof", b"capa", b"psync2"])
        for option in options:
            requests.append(encode_command([b"REPLCONF", *option]))
            # A master too old to know an option is a master all the same.
            self._expected.append(_accept)
        return [Request(b"".join(requests))]

    def _on_introduction(self, line: bytes) -> list[Step]:
        refusal = self._expected.popleft()(line)
        if refusal:
            return self._fail(refusal)
        if self._expected:
            return []
        self.phase = Phase.PSYNC
        introduction = self._introduction
        request = [b"PSYNC", introduction.replid, b"%d" % introduction.offset]
        if introduction.failover:
            request.append(b"FAILOVER")
        return [Request(encode_command(request))]

    def _on_psync(self, line: bytes) -> list[Step]:
        if not line:
            return []  # the master is alive and still preparing its copy
        if line.startswith(_PASSING):
            self.phase = Phase.OVER
            reason = f"Master is currently unable to PSYNC but should be in the future: {_shown(line)}"
            return [Failed(reason, psync_refused=True)]
        self.phase = Phase.OVER
        words = line.split()
        if words[0] == b"+FULLRESYNC":
            if len(words) == 3 and len(words[1]) == 40 and words[2].isdigit():
                return [Resync(words[1], int(words[2]))]
            return self._fail("Master replied with wrong +FULLRESYNC syntax.")
        if words[0] == b"+CONTINUE":
            replid = words[1] if len(words) > 1 and len(words[1]) == 40 else b""
            return [Resumed(b"" if replid == self._introduction.replid else replid)]
        if self._introduction.failover:
            # A copy of what the target has is not what was asked for.
            return [Failed(f"Unexpected reply to PSYNC from master: {_shown(line)}", psync_refused=True)]
        return [_SYNC, Resync(b"", -1)]

    def _fail(self, reason: str) -> list[Step]:
        self.phase = Phase.OVER
        return [Failed(reason)]


def _accept(_line: bytes) -> str:
    return ""


def _check_auth(line: bytes) -> str:
    return f"Unable to AUTH to MASTER: {_shown(line)}" if line.startswith(b"-") else ""


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace")
