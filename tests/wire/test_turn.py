"""The end of a turn: steps before replies, and what becomes of replies while it is in doubt whether they count."""

from __future__ import annotations

import asyncio

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
