"""The end of a turn: steps before replies, and what becomes of replies while it is in doubt whether they count."""

from __future__ import annotations

import asyncio
from typing import cast

from wire.connection import Connection
from wire.decoder import Batch
from wire.session import Session
from wire.turn import Turn


class Socket:
    """A connection that notes what is done with it."""

    def __init__(self, events: list[str], name: str) -> None:
        self._events = events
        self._name = name

    def flush(self) -> None:
        self._events.append(f"flush {self._name}")

    def abort(self) -> None:
        self._events.append(f"abort {self._name}")


class Doubt:
    """A turn, two connections, and for how long replies are to wait."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.turn = Turn(asyncio.get_running_loop())
        self.turn.steps.append(lambda: self.events.append("step"))
        self.early, self.late = Socket(self.events, "early"), Socket(self.events, "late")
        self.hold_s = 0.0
        self.turn.hold_s = lambda: self.hold_s

    async def turns(self, count: int = 3) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


async def test_steps_come_before_replies_and_each_is_written_to_once() -> None:
    world = Doubt()
    world.turn.reply(world.early)
    world.turn.reply(world.late)
    world.turn.reply(world.early)
    world.turn.request()
    await world.turns()
    assert world.events == ["step", "flush early", "flush late"]


async def test_what_is_asked_for_in_a_turn_runs_once_in_front_of_its_steps() -> None:
    world = Doubt()

    def asked() -> None:
        world.events.append("asked")

    world.turn.once(asked)
    world.turn.once(asked)
    world.turn.reply(world.early)
    await world.turns()
    assert world.events == ["asked", "step", "flush early"]
    world.turn.request()
    await world.turns()
    assert world.events[3:] == ["step"]


async def test_replies_that_were_held_back_leave_when_the_doubt_is_over() -> None:
    world = Doubt()
    world.hold_s = 0.01
    world.turn.reply(world.early)
    await world.turns()
    world.turn.reply(world.late)
    await world.turns()
    assert world.events == []
    world.hold_s = 0.0
    await asyncio.sleep(0.02)
    assert world.events == ["step", "flush early", "flush late"]


async def test_what_ran_before_the_doubt_is_discarded_and_what_came_later_is_answered() -> None:
    world = Doubt()
    world.hold_s = 60.0
    world.turn.reply(world.early)
    world.turn.doubt()
    world.turn.reply(world.late)
    await world.turns()
    assert world.events == []
    world.turn.discard()
    world.hold_s = 0.0
    await world.turns()
    assert world.events == ["abort early", "step", "flush late"]
    # And all is as before.
    world.turn.reply(world.early)
    await world.turns()
    assert world.events[3:] == ["step", "flush early"]


async def test_the_doubt_may_be_over_before_the_turn_ends() -> None:
    world = Doubt()
    world.turn.reply(world.early)
    world.turn.discard()
    world.turn.reply(world.late)
    await world.turns()
    assert world.events == ["abort early", "step", "flush late"]


async def test_a_doubt_that_proved_wrong_leaves_no_trace() -> None:
    world = Doubt()
    world.turn.reply(world.early)
    world.turn.doubt()
    await world.turns()
    assert world.events == ["step", "flush early"]
    world.turn.reply(world.late)
    world.turn.doubt()
    world.turn.discard()
    await world.turns()
    assert world.events == ["step", "flush early", "abort late", "step"]


async def test_what_all_commands_of_a_turn_share_is_looked_up_once() -> None:
    world = Doubt()
    world.turn.openings.append(lambda: world.events.append("opened"))
    for _ in range(2):
        if not world.turn.begun:
            world.turn.begin()
        world.turn.reply(world.early)
    await world.turns()
    assert world.events == ["opened", "step", "flush early"]
    assert not world.turn.begun, "the next turn looks again"


async def test_while_a_turn_is_held_back_every_batch_looks_again() -> None:
    world = Doubt()
    world.turn.openings.append(lambda: world.events.append("opened"))
    world.hold_s = 0.01
    world.turn.begin()
    world.turn.reply(world.early)
    await world.turns()
    world.turn.begin()
    assert not world.turn.begun
    world.turn.begin()
    assert world.events == ["opened"] * 3
    world.hold_s = 0.0
    await asyncio.sleep(0.02)
    assert world.events[3:] == ["step", "flush early"]


class PutOff:
    """What runs at the end of the turn, and answers `socket`."""

    def __init__(self, world: Doubt, socket: Socket) -> None:
        self._world = world
        self._socket = socket
        world.turn.begin()
        world.turn.put_off = self.run

    def run(self) -> None:
        turn = self._world.turn
        turn.put_off = None
        self._world.events.append("run" if turn.begun else "run late")
        turn.reply(self._socket)


async def test_what_was_put_off_runs_before_the_steps() -> None:
    world = Doubt()
    PutOff(world, world.early)
    await world.turns()
    assert world.events == ["run", "step", "flush early"]
    assert not world.turn.begun


async def test_what_was_put_off_and_runs_in_doubt_knows_of_it() -> None:
    world = Doubt()
    world.turn.begin()
    world.turn.reply(world.early)
    PutOff(world, world.late)
    world.hold_s = 60.0
    await world.turns()
    assert world.events == ["run late"]
    world.turn.discard()
    world.hold_s = 0.0
    await world.turns()
    assert world.events == ["run late", "abort early", "step", "flush late"]


async def test_turns_are_crowded_after_one_with_several_replies_that_were_not_collected() -> None:
    world = Answered()
    await world.turns()
    assert not world.turn.crowded
    for _ in range(4):
        other = Room(world.turn).connect()
        other.connection_made(cast(asyncio.Transport, Written([])))
        world.turn.replies[other] = b"reply "
    world.turn.request()
    await world.turns()
    assert world.turn.crowded
    # And so are the next ones, for a while.
    for _ in range(3):
        world.turn.request()
        await world.turns()
        assert world.turn.crowded
    world.turn.request()
    await world.turns()
    assert not world.turn.crowded


async def test_a_crowded_turn_ends_once_the_sockets_have_been_looked_at_again() -> None:
    world = Doubt()
    world.turn.crowded = True
    world.turn.begin()
    world.turn.reply(world.early)
    await asyncio.sleep(0)
    assert world.events == []
    world.turn.reply(world.late)
    await asyncio.sleep(0)
    assert world.events == ["step", "flush early", "flush late"]


class Written:
    """A transport that notes what is written to it."""

    def __init__(self, events: list[str]) -> None:
        self._events = events
        self.closed = False

    def set_write_buffer_limits(self, *, high: int) -> None: ...

    def write(self, data: bytes) -> None:
        assert not self.closed
        self._events.append(data.decode())

    def abort(self) -> None:
        self.closed = True

    close = abort

    def get_extra_info(self, name: str) -> None:
        """Nothing is known of it."""

    def is_closing(self) -> bool:
        return self.closed


class Room:
    """What a connection serves: every client is let in, and nothing is run."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn

    def connect(self) -> Connection:
        return Connection(self)

    def opened(self, connection: Connection) -> Session:
        return Session(1, connection, 0)

    def execute(self, session: Session, batch: Batch, start: int) -> int:
        session.out.append(b"run ")
        return start + batch.count

    def closed(self, session: Session) -> None: ...

    def output_blocked(self, session: Session, pending: int) -> None: ...


class Answered:
    """A turn, and a connection that has one reply to send, which it has not collected."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.turn = Turn(asyncio.get_running_loop())
        self.turn.steps.append(lambda: self.events.append("step"))
        self.connection = Room(self.turn).connect()
        self.connection.connection_made(cast(asyncio.Transport, Written(self.events)))
        self.answer()

    def answer(self) -> None:
        assert self.connection.ready
        self.connection.ready = False
        self.turn.begin()
        self.turn.replies[self.connection] = b"reply "

    @property
    def session(self) -> Session:
        assert self.connection.session is not None
        return self.connection.session

    async def turns(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_reply_that_is_not_collected_is_written_behind_the_steps() -> None:
    world = Answered()
    await world.turns()
    assert world.events == ["step", "reply "]
    assert world.turn.bytes_out == len("reply ")
    world.answer()
    await world.turns()
    assert world.events == ["step", "reply "] * 2


async def test_what_is_pushed_or_run_behind_it_goes_out_behind_it() -> None:
    world = Answered()
    world.session.push_encoded(b"push ")
    world.connection.data_received(b"*1\r\n$4\r\nPING\r\n")
    await world.turns()
    assert world.events == ["step", "reply push run "]
    assert world.connection.ready


async def test_it_is_not_written_to_a_client_that_is_hung_up_on() -> None:
    world = Answered()
    world.connection.abort()
    await world.turns()
    assert world.events == ["step"]
    assert not world.connection.ready


async def test_it_counts_no_more_than_another_when_its_turn_is_discarded() -> None:
    world = Answered()
    world.turn.doubt()
    world.turn.discard()
    await world.turns()
    assert world.events == ["step"]


async def test_it_waits_with_its_turn() -> None:
    world = Answered()
    held_s = 0.01
    world.turn.hold_s = lambda: held_s
    await world.turns()
    assert world.events == []
    held_s = 0.0
    await asyncio.sleep(0.02)
    assert world.events == ["step", "reply "]
