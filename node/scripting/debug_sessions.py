"""Sessions of the Lua debugger: a client that said SCRIPT DEBUG YES or SYNC runs a script.

By YES in a fork, which sees the data as they are and whose writes nobody else sees; the client's connection stays here,
and what is said passes through. By SYNC in this very process: the script stands on its stack while it waits for words,
and other clients are told BUSY meanwhile, so that nothing comes between. The connection is closed after the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.call import Call
from node.scripting.debugger import Console, Debugger
from node.scripting.engine import ScriptEngine, ScriptSettings
from node.session import Debugging, NodeSession
from runtime import Runtime, Tasks
from runtime.background import BackgroundError, ConversingJob, Read, Write
from wire.connection import Connection
from wire.encoder import encode
from wire.errors import Error
from wire.reply import PARKED, Reply

# How long a script may run without a stop where `busy-reply-threshold` does not say.
_PATIENCE_MS = 5000
# Runs the script, with the debugger; raises Error.
Evaluate = Callable[[Debugger], Reply]


class DebugSessions:
    """Begins them, and ends those in processes of their own with the node."""

    __slots__ = ("_engine", "_jobs", "_runtime", "_settings", "_tasks")

    def __init__(self, settings: ScriptSettings, runtime: Runtime, engine: ScriptEngine, tasks: Tasks) -> None:
        self._settings = settings
        self._runtime = runtime
        self._engine = engine
        self._tasks = tasks
        # Those in processes of their own, by process id.
        self._jobs: dict[int, ConversingJob] = {}

    def run(self, call: Call, source: bytes, evaluate: Evaluate) -> Reply:
        """Run a script for a client that debugs; raises Error."""
        if call.session.debugging is Debugging.FORKED:
            return self._run_forked(call, source, evaluate)
        return self._run_here(call.session, source, evaluate)

    def stop(self) -> None:
        for pid, job in self._jobs.items():
            self._runtime.log.warning(f"Killing debugging session {pid}")
            job.kill()

    def _debugger(self, source: bytes, console: Console, ended: Callable[[], object]) -> Debugger:
        patience_ms = self._settings.busy_reply_threshold or _PATIENCE_MS
        return Debugger(source, console, patience_ms, self._runtime.clock.perf_ns, ended)

    def _run_here(self, session: NodeSession, source: bytes, evaluate: Evaluate) -> Reply:
        log = self._runtime.log
        log.warning("Redis synchronous debugging eval session started")
        console = _Here(session, self._engine)
        _divert(console)

        def close() -> None:
            log.warning("Redis synchronous debugging eval session ended")
            session.close()

        # Behind the script's reply.
        debugger = self._debugger(source, console, lambda: asyncio.get_running_loop().call_soon(close))
        try:
            reply = evaluate(debugger)
        except Error:
            debugger.end()
            raise
        if reply is not PARKED:
            debugger.end()
        return reply

    def _run_forked(self, call: Call, source: bytes, evaluate: Evaluate) -> Reply:
        session = call.session
        log = self._runtime.log

        def child(read: Read, write: Write) -> None:
            log.role, log.pid = "C", self._runtime.process.pid()
            log.warning("Redis forked for debugging eval")
            debugger = self._debugger(source, _InChild(read, write), lambda: None)
            try:
                reply = evaluate(debugger)
            except Error as error:
                reply = error.with_traceback(None)
            debugger.end()
            write(encode(reply, session.proto))
            log.warning("Lua debugging session child exiting")

        try:
            job = self._runtime.background.start_conversation(child, session.push_encoded)
        except OSError as error:
            reason = error.strerror or str(error)
            raise Error(b"ERR Fork() failed: can't run EVAL in debugging mode: " + reason.encode()) from None
        self._jobs[job.pid] = job
        _divert(_Relayed(session, job))
        self._tasks.start(f"debug-session-{job.pid}", self._wait(session, job))
        return call.park()

    async def _wait(self, session: NodeSession, job: ConversingJob) -> None:
        try:
            await job.wait()
        except BackgroundError as error:
            self._runtime.log.warning(f"Lua debugging session: {error}")
        del self._jobs[job.pid]
        session.close()


class _Diverted(asyncio.Protocol):
    """Takes what a client sends in place of its connection, which otherwise goes on as it was."""

    def __init__(self, session: NodeSession) -> None:
        assert session.connection is not None, "nobody to talk to"
        self.connection: Connection = session.connection

    def eof_received(self) -> bool:
        self.hung_up()
        # With TLS both directions end together.
        return not self.connection.secure

    def connection_lost(self, exc: Exception | None) -> None:
        self.hung_up()
        self.connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        self.connection.resume_writing()

    def hung_up(self) -> None:
        """The client says no more."""
        raise NotImplementedError


class _Relayed(_Diverted):
    """To a session in a process of its own."""

    def __init__(self, session: NodeSession, job: ConversingJob) -> None:
        super().__init__(session)
        self._job: ConversingJob | None = job

    def data_received(self, data: bytes) -> None:
        if self._job is not None:
            self._job.send(data)

    def hung_up(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.hang_up()


class _Here(_Diverted):
    """The console of a session in this process: to read is to leave the script standing until something comes."""

    def __init__(self, session: NodeSession, engine: ScriptEngine) -> None:
        super().__init__(session)
        self._session = session
        self._engine = engine
        self._received = b""
        self._gone = False
        # Whether the script stands and waits.
        self._waits = False

    def read(self) -> bytes:
        if not self._received and not self._gone:
            self._waits = True
            self._engine.wait()
            self._waits = False
        data, self._received = self._received, b""
        return data

    def write(self, data: bytes) -> None:
        self._session.push_encoded(data)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._wake()

    def hung_up(self) -> None:
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waits:
            self._waits = False
            self._engine.go_on()


class _InChild:
    """The console of a session in a process of its own."""

    __slots__ = ("read", "write")

    def __init__(self, read: Read, write: Write) -> None:
        self.read = read
        self.write = write


def _divert(protocol: _Diverted) -> None:
    protocol.connection.transport.set_protocol(protocol)
