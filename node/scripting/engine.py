"""Runs scripts and functions, one at a time, and keeps the node answering when one takes too long.

Lua cannot be left in the middle of a script to go on later, so scripts run on a stack of their own, a greenlet: after
`busy-reply-threshold` the engine leaves it standing there and returns to the loop, which refuses most commands with
BUSY meanwhile, and goes on with the script in slices. Until then a script is one step like any command. What changed
in a script's run is passed on as one transaction, at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from greenlet import getcurrent, greenlet
from lupa.lua51 import LuaError

from node.call import Call, Conclude
from node.effects import Effects
from node.gates import BUSY, Conditions
from node.keyspace import Keyspace
from node.scripting.debugger import Debugger
from node.scripting.gateway import NOT_FROM_SCRIPTS, Gateway
from node.scripting.sandbox import LuaFunction, LuaValue, Sandbox
from node.scripting.values import CountedError, from_lua
from runtime.clock import Clock
from runtime.log import Log
from wire.errors import Error
from wire.reply import Reply
from wire.table import Command

_KILLED = {
    False: b"Script killed by user with SCRIPT KILL...",
    True: b"Script killed by user with FUNCTION KILL...",
}
# Where the code of scripts and functions says it comes from.
CHUNKS = {False: b"@user_script", True: b"@user_function"}
_BUSY_TEXT = {
    False: b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    True: b"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
}
_NOTHING_RUNS = b"NOTBUSY No scripts in execution right now."
_UNKILLABLE = (
    b"UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
    b"termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)
_FROM_MASTER = (
    b"UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed."
)
# How long the code of a library may take to register its functions, as in Redis.
_LOAD_MAX_NS = 500_000_000
# What a slice of a script on its stack answers when it is not at its end: it goes on by itself, or when it is told to.
_INTERRUPTED = object()
_WAITING = object()


class ScriptSettings(Protocol):
    busy_reply_threshold: int


@dataclass(slots=True)
class Script:
    """Something that can be run."""

    # The SHA-1 of a script, the name of a function: errors name it.
    name: bytes
    function: LuaFunction
    flags: int
    # The line of a script's last statement, most likely.
    last_line: int
    is_function: bool = False


@dataclass(slots=True)
class Running:
    """The script that runs now."""

    script: Script
    call: Call
    argv: list[bytes]
    command: Command
    started_ns: int
    # Past this the node becomes busy; None where that cannot be, because the run is one step of something larger.
    patience_ns: int | None
    # Called at the end, before the reply.
    finish: Callable[[], None] | None = None
    # It stands still until `ScriptEngine.go_on`.
    waiting: bool = False
    # What its client has said by CLIENT CACHING, which holds to its end.
    caching: bool | None = None
    killed: bool = False
    # It has ended, and what is left to do must not be interrupted.
    ended: bool = False


class ScriptEngine:
    """The one place where Lua runs."""

    def __init__(
        self,
        settings: ScriptSettings,
        clock: Clock,
        keyspace: Keyspace,
        conditions: Conditions,
        gateway: Gateway,
        conclude: Conclude,
        log: Log,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._keyspace = keyspace
        self._conditions = conditions
        self._gateway = gateway
        # Passes on the effects of a command that ended after its turn.
        self._conclude = conclude
        gateway.on_tick = self._tick
        self.sandbox = Sandbox(gateway)
        gateway.sandbox = self.sandbox
        self.running: Running | None = None
        # While a library is loaded: until when its code may run; 0 once that has passed.
        self._load_until_ns: int | None = None
        # The stack that scripts run on, made with the first one, and whose stack it returns to.
        self._stack: greenlet | None = None
        self._caller: greenlet | None = None
        # The effects so far of a script that stands still while other commands run.
        self._kept_effects: Effects = []

    @property
    def is_busy(self) -> bool:
        """Whether a script stands on its stack while the loop goes on."""
        return self._conditions.holds(BUSY)

    def run(
        self,
        call: Call,
        script: Script,
        keys: list[bytes],
        arguments: list[bytes],
        *,
        readonly: bool,
        debugger: Debugger | None = None,
    ) -> Reply:
        """Run a script for a client. Raises Error when it must not be tried; a failure is the reply.

        With a debugger the node is not busy while the script runs, but while it stands and waits for words."""
        if self.running is not None:
            # There is one stack. Only DEBUG SET-DISABLE-DENY-SCRIPTS lets a script get here, and a real server crashes.
            raise Error(NOT_FROM_SCRIPTS)
        gateway = self._gateway
        gateway.begin(call, script.flags, readonly=readonly)
        gateway.debugger = debugger
        call.propagate_nothing()
        running = self.running = Running(
            script,
            call,
            call.argv,
            call.command,
            self._clock.perf_ns(),
            self._settings.busy_reply_threshold * 1_000_000 if call.may_block and debugger is None else None,
            finish=debugger.end if debugger is not None else None,
        )
        sandbox = self.sandbox
        table = sandbox.table
        runner = sandbox.run_function if script.is_function else sandbox.run
        if debugger is not None:
            runner = sandbox.run_debugged
        context = copy_context()

        def job() -> Reply:
            try:
                outcome = context.run(runner, script.function, script.last_line, table(keys), table(arguments))
            except (LuaError, MemoryError) as failure:
                # What ended it also ended the sandbox's own work: a kill, or the end of its memory.
                outcome = (False, self._last_words(failure), CHUNKS[script.is_function], script.last_line, False)
            running.ended = True
            return self._reply(script, outcome, call)

        return self._proceed(job)

    def load(self, function: LuaFunction) -> Error | None:
        """Run the code of a library; what it registers goes to `Gateway.register`."""
        self._load_until_ns = self._clock.perf_ns() + _LOAD_MAX_NS
        try:
            outcome = self.sandbox.load_library(function)
        except (LuaError, MemoryError) as failure:
            outcome = (False, str(failure).partition("\n")[0].encode("utf-8", "replace"))
        finally:
            late = self._load_until_ns == 0
            self._load_until_ns = None
            if late:
                self.sandbox.calm()
        return None if outcome[0] else Error(outcome[1])

    def kill(self, *, function: bool) -> None:
        """SCRIPT KILL, FUNCTION KILL; raises Error when there is nothing to kill, or it must not be."""
        running = self.running
        if running is None:
            raise Error(_NOTHING_RUNS)
        if running.call.session.from_master:
            raise Error(_FROM_MASTER)
        if self._gateway.wrote:
            raise Error(_UNKILLABLE)
        if running.script.is_function is not function:
            raise Error(_BUSY_TEXT[running.script.is_function])
        running.killed = True
        if running.waiting:
            self.go_on()

    def wait(self) -> None:
        """Called from within a script: leave it standing, and return when `go_on` is called."""
        assert self._caller is not None
        self._caller.switch(_WAITING)

    def go_on(self) -> None:
        """Whatever the script waits for has come."""
        assert self.running is not None
        self.running.waiting = False
        asyncio.get_running_loop().call_soon(self._continue)

    # ---- on and off the script's stack

    def _proceed(self, job: Callable[[], Reply] | None) -> Reply:
        """Begin a job on the script's stack, or go on with the one that stands there."""
        if self._stack is None:
            self._stack = greenlet(self._work)
            self._caller = getcurrent()
            self._stack.switch()
        self._caller = getcurrent()
        result = self._stack.switch(job)
        if result is _INTERRUPTED or result is _WAITING:
            return self._interrupted(waiting=result is _WAITING)
        self.running = None
        self._gateway.debugger = None
        if isinstance(result, BaseException) and not isinstance(result, Error):
            raise result
        return result

    def _work(self) -> None:
        """What the script's stack does, for ever: jobs."""
        assert self._caller is not None
        job = self._caller.switch(None)
        while True:
            try:
                result = job()
            except Exception as failure:
                result = failure
            job = self._caller.switch(result)

    def _tick(self) -> bytes | None:
        """Called from Lua every so many instructions."""
        if self._load_until_ns is not None:
            return self._tick_of_load(self._load_until_ns)
        running = self.running
        if running is None or running.ended:
            return None
        if (
            not running.killed
            and running.patience_ns is not None
            and self._clock.perf_ns() - running.started_ns > running.patience_ns
        ):
            assert self._caller is not None
            self._caller.switch(_INTERRUPTED)
        return self._sentence(running)

    def _tick_of_load(self, until_ns: int) -> bytes | None:
        """The code of a library only registers functions: it is not waited for."""
        if self._clock.perf_ns() < until_ns:
            return None
        if until_ns:
            self._load_until_ns = 0
            self.sandbox.kill()
        return b"ERR FUNCTION LOAD timeout"

    def _sentence(self, running: Running) -> bytes | None:
        """What ends the script, if it is to end; from then on nothing that it does gets far."""
        if not running.killed:
            return None
        self.sandbox.kill()
        return _KILLED[running.script.is_function]

    def _last_words(self, failure: Exception) -> bytes:
        running = self.running
        if running is not None and running.killed:
            return b"ERR " + _KILLED[running.script.is_function]
        return b"ERR " + str(failure).partition("\n")[0].encode("utf-8", "replace")

    def _interrupted(self, *, waiting: bool) -> Reply:
        """The script has taken too long: the loop goes on, and the script with it, slice by slice. Or it waits."""
        running = self.running
        assert running is not None
        effects = self._keyspace.effects
        self._kept_effects += effects
        effects.clear()
        running.waiting = waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self._continue)
        if not self.is_busy:
            if not waiting:
                self._warn(running)
            tracked = running.call.session.tracked
            running.caching = None if tracked is None else tracked.caching
            self._conditions.busy = _BUSY_TEXT[running.script.is_function]
            self._conditions.set(BUSY, True)
            return running.call.park()
        return _INTERRUPTED

    def _warn(self, running: Running) -> None:
        """Whoever reads the log learns which script keeps the node, and what ends it."""
        took_ms = (self._clock.perf_ns() - running.started_ns) // 1_000_000
        kill = "FUNCTION KILL" if running.script.is_function else "SCRIPT KILL"
        self._log.warning(
            f"Slow script detected: still in execution after {took_ms} milliseconds. You can try killing the script "
            f"using the {kill} command. Script name is: {running.script.name.decode('utf-8', 'replace')}."
        )

    def _continue(self) -> None:
        running = self.running
        assert running is not None
        keyspace, call = self._keyspace, running.call
        # Time stands still in a script; other commands have moved it on.
        now_ms = keyspace.now_ms
        keyspace.now_ms = self._gateway.now_ms
        reply = self._gateway.go_on(running.caching, partial(self._proceed, None))
        keyspace.now_ms = now_ms
        if reply is _INTERRUPTED:
            return
        self._conditions.set(BUSY, False)
        keyspace.effects[:0] = self._kept_effects
        self._kept_effects.clear()
        call.argv = running.argv
        call.command = running.command
        call.propagate_nothing()
        self._conclude(call, running.command, running.argv, changed=True)
        if running.finish is not None:
            running.finish()
        call.session.answer_later(reply)

    # ---- results

    def _reply(self, script: Script, outcome: LuaValue, call: Call) -> Reply:
        """The reply for what `Sandbox.run` gave: True and a result, or False and an error."""
        if outcome[0]:
            return from_lua(self.sandbox, outcome[1], call.session.proto, self._gateway.resp)
        self.sandbox.calm()
        _, text, source, line, counted = outcome
        message = b"%b script: %b, on %b:%d." % (text, script.name, source or b"", line if line is not None else -1)
        return CountedError(message) if counted else Error(message)


def last_line(source: bytes) -> int:
    """The number of the last line that is not empty."""
    return source.rstrip().count(b"\n") + 1
