"""A client that keeps replies as the bytes they came in, for comparing two servers to the byte."""

from __future__ import annotations

import select
import socket
from typing import Any

from wire.encoder import encode_command

Words = tuple[str | bytes, ...]


class RawClient:
    """One connection, used synchronously."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def ask(self, *words: str | bytes) -> bytes:
        """One command, its whole reply."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: list[Words]) -> list[bytes]:
        """A pipeline, each command's reply."""
        self.send(b"".join(encode_command([_as_bytes(word) for word in words]) for words in commands))
        return [self.read_reply() for _ in commands]

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read_reply(self) -> bytes:
        """The next reply or push, nested ones included."""
        line = self._until(b"\r\n")
        kind, count = line[:1], line[1:-2]
        if kind in b"$=":
            return line + self._exactly(int(count) + 2) if int(count) >= 0 else line
        if kind in b"*~>%":
            items = int(count) * (2 if kind == b"%" else 1)
            return line + b"".join(self.read_reply() for _ in range(items))
        assert kind in b"+-:_,#(", line
        return line

    def read_past(self, mark: bytes) -> bytes:
        """Everything up to `mark`, and this."""
        return self._until(mark)

    def has_reply(self) -> bool:
        """Whether there is something to read, perhaps only a part of it."""
        return bool(self._unread) or bool(select.select([self._socket], [], [], 0)[0])

    def is_hung_up(self) -> bool:
        """Whether the server has closed the connection, everything before having been read."""
        return self.has_reply() and not self._socket.recv(1, socket.MSG_PEEK)

    def say_no_more(self) -> None:
        """Close one direction, and still listen."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._receive()
        end = self._unread.index(mark) + len(mark)
        data, self._unread = self._unread[:end], self._unread[end:]
        return data

    def _exactly(self, length: int) -> bytes:
        while len(self._unread) < length:
            self._receive()
        data, self._unread = self._unread[:length], self._unread[length:]
        return data

    def _receive(self) -> None:
        data = self._socket.recv(1 << 16)
        assert data, f"the server hung up; unread: {self._unread!r}"
        self._unread += data


def _as_bytes(word: str | bytes) -> bytes:
    return word.encode() if isinstance(word, str) else word


def as_integer(reply: bytes) -> int:
    assert reply.startswith(b":"), reply
    return int(reply[1:-2])


def bulk_strings(reply: bytes) -> list[bytes]:
    """The items of a flat array of bulk strings."""
    items, rest = [], reply.split(b"\r\n", 1)[1]
    while rest:
        header, rest = rest.split(b"\r\n", 1)
        assert header.startswith(b"$"), reply
        length = int(header[1:])
        items.append(rest[:length])
        rest = rest[length + 2 :]
    return items


def parse_reply(reply: bytes) -> Any:
    """A whole reply as Python values: bulk and simple strings and doubles as bytes, errors as (b"-", text)."""
    value, rest = _parse(reply)
    assert not rest, reply
    return value


def _parse(reply: bytes) -> tuple[Any, bytes]:
    line, rest = reply.split(b"\r\n", 1)
    kind, text = line[:1], line[1:]
    if kind in b"$=":
        length = int(text)
        return (None, rest) if length < 0 else (rest[:length], rest[length + 2 :])
    if kind in b"*~>%":
        if int(text) < 0:
            return None, rest
        items = []
        for _ in range(int(text) * (2 if kind == b"%" else 1)):
            item, rest = _parse(rest)
            items.append(item)
        return (dict(zip(items[::2], items[1::2], strict=True)) if kind == b"%" else items), rest
    if kind == b":":
        return int(text), rest
    if kind == b"_":
        return None, rest
    return ((b"-", text) if kind == b"-" else text), rest
