"""An asyncio event loop whose time is virtual: it jumps from one event to the next.

Events are ordered by time, then by the order in which they were scheduled, and by nothing else. Events of the kernel
and the network are plain function calls (`at`). Callbacks of asyncio go to the queue of the process they belong to
(`sim.process`), or, without one, run at once: they belong to whoever runs the simulation.

The loop has the parts of asyncio that need no operating system, and simulated ones of those that product code
uses: servers, connections, datagram endpoints, names, executors. Everything else is refused by name.
"""

from __future__ import annotations

import asyncio
from asyncio.events import Handle, TimerHandle
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from sim.errors import DeadlockError, EscapeError, LivelockError
from sim.process import PROCESS, Process, place_of

if TYPE_CHECKING:
    from sim.clock import HostClock
    from sim.network import Network

_T = TypeVar("_T")
# Events at one instant after which time is taken to stand still.
_AT_ONE_INSTANT_MAX = 100_000
# Events between two looks at whether the run is over.
_SLICE = 200
# Cancelled timers in the heap before they are swept out.
_CANCELLED_MAX = 1_000

Event = tuple[float, int, Callable[..., object], tuple[Any, ...]]


class _Callback(Handle):
    """A handle that does by itself what asyncio's constructor does with a call: nearly every event has one."""

    __slots__ = ()

    # Of asyncio's, which has no types for it.
    _context: Context

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], loop: SimLoop, context: Context) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._repr = self._source_traceback = None


class _Timer(TimerHandle):
    """A timer, and whose it is; made as a `_Callback` is."""

    __slots__ = ("process",)

    # Of asyncio's, which has no types for them.
    _context: Context
    _scheduled: bool

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: SimLoop,
        context: Context,
        process: Process | None,
    ) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._scheduled = True
        self._repr = self._source_traceback = None
        # None: it belongs to whoever runs the simulation.
        self.process = process


class SimTask(asyncio.Task[Any]):
    """A task with a number. Sets of tasks, of which asyncio has some, are then ordered alike in every run."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int, owner: Process | None, **options: Any) -> None:
        # First: asyncio puts the task into a set while it is being made.
        self.number = number
        # None: it belongs to whoever runs the simulation.
        self.owner = owner
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def forget(self) -> None:
        """Its process is dead: that it never finished is no mistake."""
        self._log_destroy_pending = False


class SimLoop(asyncio.BaseEventLoop):
    """The loop of one simulated world."""

    def __init__(self) -> None:
        super().__init__()
        self.set_debug(False)
        # Seconds since the beginning of the world.
        self.now = 0.0
        self._heap: list[Event] = []
        self._sequence = 0
        # Callbacks that belong to no process.
        self._world_ready: deque[Handle] = deque()
        # The process whose turn it is, for reports from where no context says it.
        self.current: Process | None = None
        self._task_number = 0
        self._cancelled_timers = 0
        # How much has happened since time moved on, as far as whole slices tell.
        self._at_this_instant = 0
        self.events = 0
        # Dead processes whose tasks are still held, and the last that died.
        self.dead: list[Process] = []
        self.last_dead: Process | None = None
        # Whose each asynchronous generator is, by its address: the collector clears weak references before it calls
        # finalizers. An entry may outlive its generator, until another one has that address.
        self._generators: dict[int, Process | None] = {}
        # The network that sockets stand on; the world puts it here.
        self.network: Network
        # Told of what no process handles: who, what, why.
        self.on_failure: Callable[[Process | None, str, BaseException | None], None] = _raise_failure
        # Called after every slice of events.
        self.between_slices: Callable[[], None] = _nothing

    # Asked when a handle or task is made: never in debug mode, and no call of Python code to find that out.
    get_debug = staticmethod(bool)

    # ---- time and events

    def time(self) -> float:
        """The world's time, or, for a process, what the monotonic clock of its host shows."""
        process = PROCESS.get()
        if process is None:
            return self.now
        # What `HostClock.monotonic_s` does: asked for too often for one more call.
        clock = process.host.clock
        return clock.base_s + (self.now + process.lag_s - clock.since_s) * clock.rate

    def at(self, when: float, call: Callable[..., object], *arguments: Any) -> None:
        """Call a function of the kernel or the network at a moment of the world's time, or now if that has passed."""
        self._sequence += 1
        heappush(self._heap, (when if when > self.now else self.now, self._sequence, call, arguments))

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        if self._closed:  # type: ignore[attr-defined]
            self._check_closed()  # type: ignore[attr-defined]
        if context is None:
            context = copy_context()
        handle = _Callback(callback, args, self, context)
        process = context.get(PROCESS)
        if process is None:
            self._world_ready.append(handle)
        else:
            process.enqueue(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        return self._timer(self.time() + delay, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> TimerHandle:
        return self._timer(when, callback, args, context)

    def _timer(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> _Timer:
        if self._closed:  # type: ignore[attr-defined]
            self._check_closed()  # type: ignore[attr-defined]
        if context is None:
            context = copy_context()
        process = context.get(PROCESS)
        handle = _Timer(when, callback, args, self, context, process)
        if process is not None:
            when = process.host.clock.world_s(when)
        self._sequence += 1
        heappush(self._heap, (when if when > self.now else self.now, self._sequence, self._due, (handle,)))
        return handle

    def _due(self, handle: _Timer) -> None:
        if handle._cancelled:
            self._cancelled_timers -= 1
            return
        handle._scheduled = False
        process = handle.process
        if process is None:
            self._world_ready.append(handle)
        elif process.alive:
            process.interrupt(handle)
        else:
            process.free(handle.cancel)

    def retime(self, clock: HostClock) -> None:
        """A clock runs at another rate now: the timers that were set by it are due at other moments."""
        heap: list[Event] = []
        for event in self._heap:
            timer = _timer_of(event)
            if timer is not None and timer.process is not None and timer.process.host.clock is clock:
                event = (max(clock.world_s(timer.when()), self.now), *event[1:])
            heap.append(event)
        heapify(heap)
        self._heap = heap

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        if handle._scheduled:  # type: ignore[attr-defined]
            self._cancelled_timers += 1
            if self._cancelled_timers > _CANCELLED_MAX and self._cancelled_timers * 2 > len(self._heap):
                self._heap = [event for event in self._heap if not _is_cancelled_timer(event)]
                heapify(self._heap)
                self._cancelled_timers = 0

    def _run_once(self) -> None:
        """What `run_forever` repeats: a slice of events."""
        ready = self._world_ready
        began_at, done = self.now, 0
        while done < _SLICE:
            done += 1
            if ready:
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
            elif self._heap:
                # The heap is another list after `retime`, so it is not kept in a name of its own here.
                self.now, _, call, arguments = heappop(self._heap)
                call(*arguments)
            else:
                raise DeadlockError(f"Nothing is left to happen at {self.now:.6f}.\n{self.waiting_tasks()}")
            if self._stopping:  # type: ignore[attr-defined]
                break
        self.events += done
        if self.now > began_at:
            self._at_this_instant = 0
        else:
            self._at_this_instant += done
            if self._at_this_instant > _AT_ONE_INSTANT_MAX:
                raise LivelockError(f"Time stands still at {self.now:.6f}.\n{self.waiting_tasks()}")
        self.between_slices()

    def waiting_tasks(self) -> str:
        """The tasks that are not done, by process."""
        tasks = sorted(
            (task for task in asyncio.all_tasks(self) if isinstance(task, SimTask)), key=lambda task: task.number
        )
        lines = [
            f"  {task.owner if task.owner is not None else 'the run'}: {task.get_name()} at {place_of(task)}"
            for task in tasks
            if task.owner is None or task.owner.alive
        ]
        return "\n".join(["Tasks that wait:", *lines])

    # ---- tasks

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, _T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[_T]:
        self._check_closed()  # type: ignore[attr-defined]
        self._task_number += 1
        number = self._task_number
        process = PROCESS.get() if context is None else context.get(PROCESS)
        task = SimTask(coro, number, process, loop=self, name=name or f"task-{number}", context=context)
        if process is not None:
            process.keep(task)
        return task

    def bury(self, process: Process) -> None:
        """A process died: its tasks are held until `dissolve_dead`."""
        self.dead.append(process)
        self.last_dead = process

    def dissolve_dead(self) -> None:
        dead, self.dead = self.dead, []
        for process in dead:
            process.dissolve()

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]
        self._generators[id(agen)] = PROCESS.get()

    def _asyncgen_finalizer_hook(self, agen: AsyncGenerator[Any, Any]) -> None:
        """Asyncio starts a task that closes the generator; for a dead process that would be a new life."""
        self._asyncgens.discard(agen)  # type: ignore[attr-defined]
        process = self._generators.pop(id(agen), None)
        if process is None or process.alive:
            self.create_task(agen.aclose(), context=Context() if process is None else process.context.copy())

    # ---- what goes wrong

    def set_exception_handler(
        self, handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None
    ) -> None:
        process = PROCESS.get()
        if process is not None:
            process.exception_handler = handler
        else:
            super().set_exception_handler(handler)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Have the process that it concerns deal with it, as its own loop would."""
        process = _concerned(context) or PROCESS.get() or self.current
        failure = context.get("exception")
        if process is None or (process.alive and process.exception_handler is None):
            self.report(process, str(context.get("message")), failure)
        elif process.alive:
            assert process.exception_handler is not None
            process.context.copy().run(process.exception_handler, self, context)

    def handle_failed(self, handle: Handle, failure: BaseException) -> None:
        """A callback raised: what asyncio's own handles say of that."""
        what = f"Exception in callback {handle._callback!r}"  # type: ignore[attr-defined]
        self.call_exception_handler({"message": what, "exception": failure, "handle": handle})

    def report(self, process: Process | None, what: str, failure: BaseException | None) -> None:
        """Nobody in the simulation handles this: the run is not good."""
        self.on_failure(process, what, failure)

    # ---- signals

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        _running_process().signals[int(sig)] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        return _running_process().signals.pop(int(sig), None) is not None

    # ---- what happens outside of a process

    async def elapse(self, seconds: float) -> None:
        """Wait so long in the world's time, for what no clock of the process' host measures."""
        process = PROCESS.get()
        over: asyncio.Future[None] = self.create_future()
        self.at(self.now + (0.0 if process is None else process.lag_s) + seconds, _set, over)
        await over

    async def _run_inline(self, function: Callable[..., _T], *args: Any) -> _T:
        await self.elapse(_running_process().host.draw_job_s())
        return function(*args)

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]  # noqa: ARG002
        """Run the job inline, a drawn while later."""
        return self.create_task(self._run_inline(func, *args))

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # ---- sockets

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        return await self.network.resolve(_running_process(), host, port)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self.network.listen(_running_process(), protocol_factory, host, port, **options)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        return await self.network.connect(_running_process(), protocol_factory, host, port, **options)

    async def create_datagram_endpoint(
        self, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        return await self.network.bind(_running_process(), protocol_factory, local_addr, remote_addr, **options)


def _refused(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise EscapeError(f"{PROCESS.get() or 'the run'} wants {name} of the loop, which would leave the simulation")

    return refuse


for _name in (
    *("add_reader", "remove_reader", "add_writer", "remove_writer", "sock_recv", "sock_recv_into", "sock_recvfrom"),
    *("sock_recvfrom_into", "sock_sendall", "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile", "sendfile"),
    *("connect_accepted_socket", "start_tls", "subprocess_shell", "subprocess_exec", "connect_read_pipe"),
    *("connect_write_pipe", "create_unix_server", "create_unix_connection", "getnameinfo"),
):
    setattr(SimLoop, _name, _refused(_name))


def _running_process() -> Process:
    process = PROCESS.get()
    if process is None:
        raise EscapeError("sockets, signals and threads belong to a process; start one with Host.start")
    return process


def _concerned(context: dict[str, Any]) -> Process | None:
    """Whose trouble this is, as far as what asyncio says about it tells."""
    task = context.get("task", context.get("future"))
    if isinstance(task, SimTask):
        return task.owner
    handle = context.get("handle")
    if isinstance(handle, Handle):
        return handle._context.get(PROCESS)  # type: ignore[attr-defined, no-any-return]
    return None


def _timer_of(event: Event) -> _Timer | None:
    arguments = event[3]
    timer = arguments[0] if arguments else None
    return timer if isinstance(timer, _Timer) else None


def _is_cancelled_timer(event: Event) -> bool:
    timer = _timer_of(event)
    return timer is not None and timer.cancelled()


def _set(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


def _raise_failure(process: Process | None, what: str, failure: BaseException | None) -> None:
    raise RuntimeError(f"{process or 'the run'}: {what}") from failure


def _nothing() -> None:
    pass
