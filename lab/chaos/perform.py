"""Performs a scenario on a stage, in whatever world that is: clients begin, faults strike, everything is mended, and
every key is read once more.

The same code runs over real processes and in the simulator, so what differs between two timelines is the world's doing.
It waits only by the running loop, and takes the time from the stage.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.chaos.events import Event, Reader
from lab.chaos.events import Kind as EventKind
from lab.chaos.roster import Roster
from lab.chaos.scenario import Scenario
from lab.chaos.stage import Program, Recording, Stage
from lab.clients import SmartClient
from lab.faults import faults
from lab.history import Kind, Recorder, read
from lab.topology import Topology, slot_range
from lab.workload import Plan, Workload, tags
from runtime import Runtime
from sim.faults import Strike

# Between two looks at what the programs have said.
_LOOK_EVERY_S = 0.05
# How long a cluster may take to be whole once everything is mended. A sentinel that was frozen concludes nothing for
# half a minute (TILT), and a failover that found no leader is tried again after twice the failover-timeout.
_WHOLE_WITHIN_S = 60.0
# How long the last read of a key is tried.
_READ_WITHIN_S = 5.0
# How long a connection with TLS may take, at least: its handshake is work, for which a busy machine takes its time.
_HANDSHAKE_S = 1.0
# Hash tags for the keys of a shard.
_TAGS = 4


async def perform(scenario: Scenario, stage: Stage, recording: Recording) -> None:
    """Perform it on a cluster that is ready. The recording is filled as it goes on, so that something is left of a run
    that breaks off."""
    await _Performance(scenario, stage, recording).run()


class _Performance:
    """One run."""

    def __init__(self, scenario: Scenario, stage: Stage, recording: Recording) -> None:
        self._scenario = scenario
        self._stage = stage
        self._recording = recording
        recording.names = dict(stage.names)
        self._topology: Topology = scenario.cluster.topology()
        self._roster = Roster(self._topology, stage.names)
        self._reader = Reader(self._roster)
        self._file = io.StringIO()
        stage.begin()
        self._recorder = Recorder(
            self._file, stage.now, scenario=scenario.name, seed=recording.seed, world=recording.world.value
        )
        asked = scenario.workload
        self._workload = Workload(
            Plan(
                seed=recording.seed,
                rate=asked.rate,
                registers=asked.registers,
                counters=asked.counters,
                sets=asked.sets,
                once=asked.once,
                reads=asked.reads,
            ),
            {f"shard-{number}": _tags(self._topology, number) for number in range(self._topology.masters)},
            self._recorder,
        )
        # The faults that have struck, by number, with the seats that their roles had then.
        self._resolved: dict[int, Strike] = {}
        # The clients begin nothing new; everything is mended, and may be read for the last time.
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()
        # Clients that have not finished what they began.
        self._working = asked.clients

    async def run(self) -> None:
        """From the first operation to the last read."""
        recording = self._recording
        try:
            for number in range(self._scenario.workload.clients):
                self._stage.start_client(number, self._client(number))
            for at, strike, begins in _schedule(self._scenario):
                await self._wait_until(at)
                self._act(strike, begins=begins)
            await self._wait_until(self._scenario.duration)
            self._stop.set()
            self._stage.mend_all()
            await self._become_whole()
            self._settled.set()
            await self._stage.clients_ended()
        finally:
            self._look()
            recording.masters = dict(self._roster.masters)
            recording.troubles += self._stage.troubles()
            recording.history_text = self._file.getvalue()
            recording.history = read(recording.history_text.splitlines(keepends=True))

    def _client(self, number: int) -> Program:
        asked = self._scenario.workload

        async def program(runtime: Runtime, nodes: Sequence[tuple[str, int]]) -> None:
            tls = self._stage.tls
            connect_within_s = asked.patience if tls is None else max(asked.patience, _HANDSHAKE_S)
            client = SmartClient(
                nodes,
                runtime,
                deadline_ms=round(asked.patience * 1000),
                connect_timeout_ms=round(connect_within_s * 1000),
                silence_timeout_ms=round(asked.silence * 1000),
                tls=tls,
            )
            try:
                await self._workload.work(number, client, self._stop)
                self._working -= 1
                await self._settled.wait()
                await self._workload.read_share(number, client, patience_s=_READ_WITHIN_S)
            finally:
                await client.close()

        return program

    async def _wait_until(self, at: float) -> None:
        """Until a moment of the scenario, hearing what is said meanwhile."""
        while (left := at - self._recorder.now()) > 0:
            await asyncio.sleep(min(left, _LOOK_EVERY_S))
            self._look()

    async def _become_whole(self) -> None:
        deadline = self._recorder.now() + _WHOLE_WITHIN_S
        while missing := await self._stage.missing() or ["clients still wait for answers"] * self._working:
            if self._recorder.now() > deadline:
                self._recording.troubles.append(
                    f"not whole {_WHOLE_WITHIN_S:g} s after everything was mended: {missing[0]}"
                )
                return
            await asyncio.sleep(_LOOK_EVERY_S)
            self._look()
        self._recording.events.append(Event(self._recorder.now(), "", EventKind.WHOLE))

    def _look(self) -> None:
        """Hear what the programs have said."""
        for line in self._stage.lines():
            before = dict(self._roster.masters)
            event = self._reader.read(line)
            if event is None:
                continue
            self._recording.events.append(event)
            if event.kind is EventKind.PROMOTED:
                shard = event.subject
                self._recorder.moment(Kind.FAILOVER, event.who, before[shard], [shard], at=event.at)

    def _act(self, strike: Strike, *, begins: bool) -> None:
        """Strike or mend."""
        self._look()
        if begins:
            self._resolved[strike.number] = strike = self._resolve(strike)
            # Written down first: nothing that it does may be noticed before it.
            at = self._recorder.now()
            if self._stage.strike(strike):
                self._recording.struck += 1
                self._recorder.moment(Kind.FAULT, strike.kind, _whom(strike), self._groups(strike), at=at)
        else:
            strike = self._resolved[strike.number]
            if self._stage.mend(strike):
                self._recorder.moment(Kind.HEALED, strike.kind, _whom(strike), self._groups(strike))

    def _resolve(self, strike: Strike) -> Strike:
        """The strike with seats in place of roles."""
        resolve = self._roster.resolve
        return replace(strike, targets=tuple(map(resolve, strike.targets)), others=tuple(map(resolve, strike.others)))

    def _groups(self, strike: Strike) -> list[str]:
        """The shards that it concerns; none stands for all."""
        shards = (self._roster.shard_of(seat) for seat in (*strike.targets, *strike.others))
        return list(dict.fromkeys(shard for shard in shards if shard))


def _tags(topology: Topology, shard: int) -> list[str]:
    """Hash tags of a shard's slots, not of its first and last: the worlds round the borders differently."""
    first, last = slot_range(topology, shard)
    return tags(first + 1, last - 1, _TAGS)


def _schedule(scenario: Scenario) -> Iterator[tuple[float, Strike, bool]]:
    """What begins (True) and ends when, in order of time. What lasts to the end is mended with all the rest."""
    steps: list[tuple[float, Strike, bool]] = []
    number = 0
    for fault in scenario.faults:
        # A fault between hosts has all of them on its one side; others strike one by one.
        sides = [fault.whom] if faults()[fault.kind].links else [(who,) for who in fault.whom]
        lasting = scenario.duration - fault.at if fault.lasting is None else fault.lasting
        for side in sides:
            strike = Strike(number, fault.at, lasting, fault.kind, side, fault.others, fault.amount)
            number += 1
            steps.append((fault.at, strike, True))
            if fault.at + lasting < scenario.duration:
                steps.append((fault.at + lasting, strike, False))
    return iter(sorted(steps, key=lambda step: (step[0], step[1].number, step[2])))


def _whom(strike: Strike) -> str:
    return ",".join(strike.targets)
