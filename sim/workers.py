"""Processes that run what a swarm has planned, one run each at a time, and that can be ended in the middle of it.

A pool of the standard library ends only when what has begun is done, and sometimes not even then; but a budget of time
is a promise, and on a loaded machine a single run can take a minute.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

# A fresh interpreter: what the parent has imported, opened and locked is not inherited.
_CONTEXT = multiprocessing.get_context("spawn")


class _Seeded(Protocol):
    @property
    def seed(self) -> int: ...


Plan = TypeVar("Plan", bound=_Seeded)
Verdict = TypeVar("Verdict")


class WorkerDiedError(RuntimeError):
    """The process of a run has ended without a verdict: killed, or out of memory."""


class Worker(Generic[Plan, Verdict]):
    """One process."""

    __slots__ = ("_process", "connection", "plan")

    def __init__(self, run: Callable[[Plan], Verdict]) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        # What it runs.
        self.plan: Plan | None = None
        self._process = _CONTEXT.Process(target=_work, args=(theirs, run), daemon=True)
        self._process.start()
        # So that its death is the end of the stream.
        theirs.close()

    def begin(self, plan: Plan) -> None:
        self.plan = plan
        self.connection.send(plan)

    def verdict(self) -> Verdict:
        """What came of the plan; raises what the run raised, and WorkerDiedError."""
        plan, self.plan = self.plan, None
        assert plan is not None
        try:
            outcome: Verdict | Exception = self.connection.recv()
        except (EOFError, ConnectionResetError):
            # A reset is what comes where it had not read what it was sent.
            raise WorkerDiedError(f"the process that ran seed {plan.seed} has died") from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def end(self) -> None:
        """At once, whatever it does."""
        self._process.kill()
        self._process.join()
        self.connection.close()


class Workers(Generic[Plan, Verdict]):
    """A context with some of them that all do `run`, a function of a module; all are ended with it."""

    def __init__(self, jobs: int, run: Callable[[Plan], Verdict]) -> None:
        self._all = [Worker(run) for _ in range(jobs)]

    def __enter__(self) -> Workers[Plan, Verdict]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for worker in self._all:
            worker.end()

    def idle(self) -> list[Worker[Plan, Verdict]]:
        return [worker for worker in self._all if worker.plan is None]

    def busy(self) -> list[Worker[Plan, Verdict]]:
        return [worker for worker in self._all if worker.plan is not None]

    def verdicts(self, timeout_s: float | None) -> Iterator[Verdict]:
        """Of the runs that have ended, once one has; of none if that takes too long."""
        ready = wait([worker.connection for worker in self.busy()], timeout_s)
        for worker in self.busy():
            if worker.connection in ready:
                yield worker.verdict()


def _work(connection: Connection, run: Callable[[Any], Any]) -> None:
    """Runs what it is sent, until nobody sends any more."""
    while True:
        try:
            plan = connection.recv()
        except EOFError:
            return
        try:
            outcome = run(plan)
        except Exception as error:
            # Raised again where the verdict is wanted.
            error.add_note(traceback.format_exc())
            outcome = error
        connection.send(outcome)
