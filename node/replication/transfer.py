"""The full copy on its way to a replica: an RDB in one of two framings.

``$<length>`` announces a file of known size. ``$EOF:<40 bytes>`` announces a copy that the master makes
while it sends it: it ends where those 40 bytes come again, and the master then stays silent until it hears
from the replica, so nothing can stand behind them. Pure: bytes in; the copy and what follows it out.
"""

from __future__ import annotations

from collections.abc import Callable

_PREFIX_EOF = b"$EOF:"
_MARK_SIZE = 40
# No preamble is longer: a length has at most 19 digits, an error of the master's fits.
_PREAMBLE_MAX = 1024


class TransferError(Exception):
    """The master does not send a copy, or not one that can be understood."""


class Transfer:
    """One copy being received."""

    __slots__ = ("_chunks", "_keep", "_line", "_mark", "_tail", "received", "total")

    def __init__(self, keep: Callable[[bytes], None] | None = None) -> None:
        """`keep` gets the copy as it comes; without it, it is returned when it is whole."""
        # The preamble, as far as it has come.
        self._line = b""
        # What has come of the copy, joined only once.
        self._chunks: list[bytes] = []
        self._keep = keep if keep is not None else self._chunks.append
        # The end mark of a copy of unknown length, and the last bytes received, which may be it.
        self._mark = b""
        self._tail = b""
        # Bytes of the copy announced (-1: not yet known, 0: will not be known) and received, the mark too.
        self.total = -1
        self.received = 0

    @property
    def marked(self) -> bool:
        """The copy is of the kind after which the master waits for our first acknowledgement."""
        return bool(self._mark)

    def receive(self, data: bytes) -> tuple[bytes, bytes] | None:
        """(the copy, bytes behind it) once it is whole; raises TransferError."""
        if self.total < 0:
            data = self._preamble(data)
            if self.total < 0:
                return None
        left = self.total - self.received
        self.received += len(data)
        if self._mark:
            data = self._tail + data
            self._tail = data[-_MARK_SIZE:]
            self._keep(data[:-_MARK_SIZE])
            return (b"".join(self._chunks), b"") if self._tail == self._mark else None
        self._keep(data[:left])
        return (b"".join(self._chunks), data[left:]) if self.received >= self.total else None

    def _preamble(self, data: bytes) -> bytes:
        """Take the preamble from the head of `data`; returns what follows it."""
        data = self._line + data
        while True:
            line, found, rest = data.partition(b"\n")
            if not found:
                if len(data) > _PREAMBLE_MAX:
                    raise TransferError("Bad protocol from MASTER, the first line is too long")
                self._line = data
                return b""
            line = line.rstrip(b"\r")
            if line:
                self._announce(line)
                return rest
            data = rest  # a newline only says that the master is alive

    def _announce(self, line: bytes) -> None:
        if line.startswith(_PREFIX_EOF) and len(line) == len(_PREFIX_EOF) + _MARK_SIZE:
            self._mark = line[len(_PREFIX_EOF) :]
            self.total = 0
        elif line.startswith(b"$") and line[1:].isdigit():
            self.total = int(line[1:])
        elif line.startswith(b"-"):
            raise TransferError(f"MASTER aborted replication with an error: {line[1:].decode('utf-8', 'replace')}")
        else:
            shown = line[:100].decode("utf-8", "replace")
            raise TransferError(f"Bad protocol from MASTER, the first byte is not '$' (we received '{shown}')")
