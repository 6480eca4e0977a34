"""A replica that keeps nothing: it asks for a copy, throws it away, and reads the stream of commands behind it."""

from __future__ import annotations

from typing import Any

from tests.node.raw_client import RawClient, bulk_strings, parse_reply


class FakeReplica(RawClient):
    """Connected to a master, past the copy; an `old` one says SYNC."""

    def __init__(self, port: int, *, old: bool = False) -> None:
        super().__init__(port)
        if old:
            self.send(b"SYNC\r\n")
        else:
            # Without the capability "eof" the copy has a length in front, whatever `repl-diskless-sync` says.
            assert self.ask("REPLCONF", "capa", "psync2") == b"+OK\r\n"
            assert self.ask("PSYNC", "?", "-1").startswith(b"+FULLRESYNC ")
        header = b"\n"
        while header == b"\n":
            header = self._until(b"\n")
        assert header.startswith(b"$"), header
        self._exactly(int(header[1:]))

    def read_until(self, last_word: bytes) -> list[list[bytes]]:
        """The commands of the stream up to the one that ends with `last_word`, signs of life left out."""
        commands: list[list[bytes]] = []
        while not commands or commands[-1][-1] != last_word:
            words = bulk_strings(self.read_reply())
            if words[0].upper() not in (b"PING", b"REPLCONF"):
                commands.append(words)
        return commands

    def told_of(self, client: RawClient, *words: str | bytes) -> tuple[Any, list[list[bytes]]]:
        """The reply to a command of the master's client, and what replicas are told because of it."""
        client.ask("PUBLISH", "begin", "begin")
        reply = parse_reply(client.ask(*words))
        client.ask("PUBLISH", "the end", "the end")
        told = self.read_until(b"the end")
        begin = next(at for at, command in enumerate(told) if command[:2] == [b"PUBLISH", b"begin"])
        return reply, told[begin + 1 : -1]
