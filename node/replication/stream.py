"""The replication stream as it arrives: commands to apply, and the bytes they account for.

Two counts must not be confused. The offset that a replica reports counts commands that were applied,
and a transaction's bytes count only when its EXEC is applied: a replica that broke off inside MULTI must
ask for the whole transaction again. The bytes themselves go on to sub-replicas unchanged, in the same
units, so that every node of a chain has the same history at the same offset.

Masters write every command in its canonical form (an array of bulk strings), which is why the size of a
command can be told from its arguments. A bare newline is a sign of life outside the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from wire.decoder import Batch, Decoder
from wire.encoder import encode_command

# A stream's command may be as big as a client's: the limits are the client's business, on the master.
_BULK_MAX = 1 << 40


class StreamError(Exception):
    """What came is not a replication stream."""


@dataclass(slots=True)
class Portion:
    """Whole commands, outside of transactions or with whole ones, ready to be applied in one go."""

    # The commands, MULTI and EXEC among them.
    batch: Batch
    # Their bytes as the master wrote them.
    data: bytes
    # The offset before the last `REPLCONF GETACK` among them, counted from the portion's beginning.
    getack_at: int | None

    @property
    def commands(self) -> list[list[bytes]]:
        """Each command's arguments, its name first."""
        return self.batch.commands


class StreamReader:
    """The reading end of one stream."""

    __slots__ = ("_decoder", "_in_transaction", "_open", "_open_data")

    def __init__(self) -> None:
        self._decoder = Decoder(bulk_max=_BULK_MAX, buffer_max=_BULK_MAX)
        # A transaction whose EXEC has not arrived: its commands so far and their bytes.
        self._in_transaction = False
        self._open: list[list[bytes]] = []
        self._open_data: list[bytes] = []

    @property
    def unapplied(self) -> int:
        """Bytes received that cannot be applied yet."""
        return self._decoder.buffered + sum(map(len, self._open_data))

    def receive(self, data: bytes) -> Portion | None:
        """What can be applied now that `data` has arrived; raises StreamError."""
        batch = self._decoder.feed(data)
        if self._decoder.error is not None:
            raise StreamError(self._decoder.error.text.decode("ascii", "replace"))
        columns = batch.columns
        if columns is not None and not self._open and len(columns) > 1 and columns[0][0].lower() != b"replconf":
            # One command over and over, and none of those that are looked for below.
            return Portion(batch, batch.encoded(0, batch.count), None)
        commands = batch.commands
        if not commands:
            return None
        closed = self._closed(commands)
        if closed == len(commands):
            ready = self._open + commands
            ready_data = b"".join([*self._open_data, batch.encoded(0, closed)])
            self._open, self._open_data = [], []
        elif closed:
            ready = self._open + commands[:closed]
            ready_data = b"".join([*self._open_data, batch.encoded(0, closed)])
            self._open = commands[closed:]
            self._open_data = [batch.encoded(closed, len(commands))]
        else:
            self._open += commands
            self._open_data.append(batch.encoded(0, len(commands)))
            return None
        return Portion(Batch(ready), ready_data, _last_getack(ready))

    def _closed(self, commands: list[list[bytes]]) -> int:
        """How many of the new commands are outside of a transaction that is still open."""
        closed = 0
        inside = self._in_transaction
        for index, argv in enumerate(commands):
            if len(argv) == 1:
                name = argv[0].lower()
                if name == b"multi":
                    inside = True
                elif name == b"exec":
                    inside = False
            if not inside:
                closed = index + 1
        self._in_transaction = inside
        return closed


def _last_getack(commands: list[list[bytes]]) -> int | None:
    for index in range(len(commands) - 1, -1, -1):
        argv = commands[index]
        if len(argv) == 3 and argv[1].lower() == b"getack" and argv[0].lower() == b"replconf":
            return sum(len(encode_command(earlier)) for earlier in commands[:index])
    return None
