"""A connection that shows the very bytes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.reply_splitter import ReplySplitter


class RawClient:
    """Sends inline commands, reads whole replies."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._splitter = ReplySplitter()
        self._replies: list[bytes] = []

    def send(self, text: str | bytes) -> None:
        """One or several inline commands."""
        data = text.encode() if isinstance(text, str) else text
        self._connection.sendall(data + b"\r\n")

    def read(self) -> bytes:
        """The next reply or push."""
        while not self._replies:
            chunk = self._connection.recv(65536)
            assert chunk, "the connection was closed"
            ends = self._splitter.feed(chunk)
            self._replies += [self._splitter.data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return self._replies.pop(0)

    def says(self, text: str, *expected: bytes | None) -> None:
        """Send `text` and compare its replies; None: any reply will do, for each line of `text`."""
        self.send(text)
        if expected == (None,):
            for _ in text.splitlines():
                self.read()
            return
        assert [self.read() for _ in expected] == list(expected)

    def closed(self) -> bool:
        """Whether the other side has closed the connection, and said nothing more."""
        try:
            return not self._connection.recv(65536)
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._connection.close()


@contextmanager
def raw_client(port: int) -> Iterator[RawClient]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(10)
        yield RawClient(connection)
