"""The stream that this node sends: commands in, with SELECT where the database changes; bytes out, once a turn.

As a master the node feeds what it executed (`feed`); as a replica it relays what its master sent, to the
byte (`relay`), so that sub-replicas share the master's history and offsets. Both go through here, because
both count for the offset, fill the backlog and reach the same replicas.
"""

from __future__ import annotations

from collections.abc import Callable

from node.replication.backlog import Backlog
from node.replication.history import History
from wire.encoder import encode_command

PING = encode_command([b"ping"])
GETACK = encode_command([b"REPLCONF", b"GETACK", b"*"])


class Feed:
    """The sending end of the stream, up to the backlog; who gets it is `send`'s business."""

    __slots__ = ("_request", "_send", "backlog", "history", "pieces", "selected")

    def __init__(self, history: History, send: Callable[[bytes], None], request: Callable[[], None]) -> None:
        self.history = history
        # Where the newest part is kept; None while nobody has ever replicated from us.
        self.backlog: Backlog | None = None
        # Takes each turn's bytes.
        self._send = send
        # Asks for `flush` to be called at the end of this turn.
        self._request = request
        # The database the stream is in; None forces a SELECT before the next command.
        self.selected: int | None = None
        # What has been fed in this turn. The offset counts it already, the backlog not yet.
        self.pieces: list[bytes] = []

    @property
    def database(self) -> int:
        """Where the next command of a copy made now would apply; 0 when a SELECT will come first anyway."""
        return self.selected or 0

    def feed(self, database: int, data: bytes) -> int:
        """Whole commands that ran in `database`; returns the offset behind them."""
        if database != self.selected:
            self.selected = database
            self.append(encode_command([b"SELECT", b"%d" % database]))
        # The body of `append`, written out: every write passes here.
        if not self.pieces:
            self._request()
        self.pieces.append(data)
        history = self.history
        offset = history.offset = history.offset + len(data)
        return offset

    def append(self, data: bytes) -> None:
        """Bytes that stand in no database: the master's own stream, PING, GETACK."""
        if not self.pieces:
            self._request()
        self.pieces.append(data)
        self.history.offset += len(data)

    def flush(self) -> None:
        """Hand this turn's bytes on. Whoever is about to look at the backlog calls this first."""
        if not self.pieces:
            return
        data = b"".join(self.pieces) if len(self.pieces) > 1 else self.pieces[0]
        self.pieces.clear()
        if self.backlog is not None:
            self.backlog.append(data)
        self._send(data)

    def reselect(self) -> None:
        """The next command starts with SELECT: a copy has begun, or the stream is now ours."""
        self.selected = None

    def open_backlog(self, size: int) -> None:
        """Keep the stream from here on."""
        assert not self.pieces, "a backlog must begin where the offset stands"
        self.backlog = Backlog(size, self.history.offset)

    def close_backlog(self) -> None:
        self.flush()
        self.backlog = None
