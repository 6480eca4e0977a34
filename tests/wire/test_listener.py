"""What accepted connections have from the socket that listened."""

from __future__ import annotations

import asyncio
import socket

from tests.node.replication.nodes import free_port
from wire.connection import Connection
from wire.decoder import Batch
from wire.listener import Listener
from wire.session import Session
from wire.turn import Turn


class Door:
    """Looks at each client's socket, and turns it away."""

    def __init__(self) -> None:
        self.turn = Turn(asyncio.get_running_loop())
        self.seen: list[tuple[bool, int, int, bool]] = []

    def connect(self) -> Connection:
        return Connection(self)

    def opened(self, connection: Connection) -> bytes:
        raw = connection.transport.get_extra_info("socket")
        options = [
            raw.getsockopt(level, option)
            for level, option in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                (socket.IPPROTO_TCP, socket.TCP_NODELAY),
            )
        ]
        self.seen.append((bool(options[0]), options[1], options[2], bool(options[3])))
        return b"ERR not today"

    def execute(self, session: Session, batch: Batch, start: int) -> int:
        raise AssertionError(f"nobody was let in, and {session} runs {batch} from {start} on")

    def closed(self, session: Session) -> None: ...

    def output_blocked(self, session: Session, pending: int) -> None: ...


async def test_keepalive_is_that_of_the_time_when_a_client_comes() -> None:
    door, port = Door(), free_port()
    listener = Listener(door, keepalive_s=300)
    await listener.open(["127.0.0.1"], port)
    try:
        for seconds in (None, 30, 0):
            if seconds is not None:
                listener.keep_alive(seconds)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b"-ERR not today\r\n"
            writer.close()
    finally:
        await listener.close()
    (first, second, third) = door.seen
    assert first == (True, 300, 100, True)
    assert second == (True, 30, 10, True)
    assert (third[0], third[3]) == (False, True)
