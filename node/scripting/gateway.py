"""redis.call: the way from a script to the commands, and what stands in it.

A script's commands run as a client of their own, with a database and a protocol that end with the script. They pass
the gates of other clients' commands, in other words (`scriptCall` in Redis' documentation of errors), and some of their
own: what may not run in scripts, what a read-only script may not do, keys of other nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from node.call import Call
from node.effects import ForLog, ForReplicas
from node.gates import DISK_ERROR, OUT_OF_MEMORY, READ_ONLY, STALE, TOO_FEW_REPLICAS, Conditions, Gatekeeper
from node.keyspace import Keyspace
from node.redirection import DOWN, DOWN_READS_ONLY
from node.scripting.flags import ALLOW_CROSS_SLOT_KEYS, ALLOW_OOM, ALLOW_STALE, COMPATIBLE, NO_CLUSTER, NO_WRITES
from node.scripting.values import error_table, to_lua
from node.session import NodeSession
from runtime.clock import Clock
from runtime.log import Log
from wire.acl.accounts import Accounts
from wire.acl.selector import Reason
from wire.command import DENYOOM as NEEDS_MEMORY
from wire.command import MAY_REPLICATE, NOSCRIPT, WRITE
from wire.command import STALE as WHILE_STALE
from wire.errors import Error
from wire.reply import Reply
from wire.session import RESTRICTED
from wire.table import Command, CommandTable

if TYPE_CHECKING:
    from node.execute import Executor
    from node.scripting.debugger import Debugger
    from node.scripting.sandbox import LuaFunction, LuaTable, LuaValue, Sandbox

# redis.REPL_AOF, REPL_REPLICA and REPL_ALL are the sums of these.
_TO_LOG = 1
_TO_REPLICAS = 2
_TO_ALL = _TO_LOG | _TO_REPLICAS

_NO_ARGUMENTS = b"ERR Please specify at least one argument for this redis lib call"
_BAD_ARGUMENTS = b"ERR Lua redis lib command arguments must be strings or integers"
_UNKNOWN = b"ERR Unknown Redis command called from script"
_BAD_ARITY = b"ERR Wrong number of args calling Redis command from script"
NOT_FROM_SCRIPTS = b"ERR This Redis command is not allowed from script"
_READ_ONLY_SCRIPT = b"ERR Write commands are not allowed from read-only scripts."
_STALE_REPLICA = b"ERR Can not execute the command on a stale replica"
_READ_ONLY_REPLICA = b"READONLY You can't write against a read only replica."
_STALE = b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
_TOO_FEW = b"NOREPLICAS Not enough good replicas to write."
_NO_MEMORY = b"OOM command not allowed when used memory > 'maxmemory'."
_NO_ALLOW_OOM = b"OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
_FOREIGN_KEY = b"ERR Script attempted to access a non local key in a cluster node"
_DOWN = {
    DOWN: b"ERR Script attempted to execute a command while the cluster is down",
    DOWN_READS_ONLY: b"ERR Script attempted to execute a write command while the cluster is down and readonly",
}
_TWO_SLOTS = b"ERR Script attempted to access keys that do not hash to the same slot"
_DENIED = {
    Reason.COMMAND: b"ERR The user executing the script can't run this command or subcommand",
    Reason.KEY: b"ERR The user executing the script can't access at least one of the keys mentioned in the command "
    b"arguments",
    Reason.CHANNEL: b"ERR The user executing the script can't publish to the channel mentioned in the command",
}
_NO_SUCH_COMMAND = b"ERR Invalid command passed to redis.acl_check_cmd()"


class Gateway:
    """Implements `node.scripting.sandbox.Host`."""

    sandbox: Sandbox

    def __init__(
        self,
        table: CommandTable,
        executor: Executor,
        keyspace: Keyspace,
        conditions: Conditions,
        gatekeeper: Gatekeeper,
        log: Log,
        clock: Clock,
        accounts: Accounts,
        session: NodeSession,
        clustered: bool,
    ) -> None:
        self._table = table
        self._executor = executor
        self._keyspace = keyspace
        self._conditions = conditions
        self._gatekeeper = gatekeeper
        self._log = log
        self._clock = clock
        self._accounts = accounts
        # The client that a script's commands run as, and the one that runs the script.
        self._session = session
        session.in_script = True
        self._client = session
        self._clustered = clustered
        # DEBUG SET-DISABLE-DENY-SCRIPTS: also commands that are not for scripts.
        self.permits_all = False
        # The engine's and the function registry's, who put them here.
        self.on_tick: Callable[[], bytes | None]
        self.on_register: Callable[[bytes, LuaFunction, bytes | None, bytes], bytes | None]
        # Of the script that runs: what it may do, the protocol that it chose, whether it has written, when it began.
        self._flags = 0
        self._restricted = False
        self.resp = 2
        self.wrote = False
        self.now_ms = 0
        # The debugger, when it is being debugged.
        self.debugger: Debugger | None = None
        # redis.set_repl.
        self._replicate = _TO_ALL
        # The slot of its keys so far, those it was given and those it has used; None before the first one.
        self._slot: int | None = None

    def begin(self, call: Call, flags: int, *, readonly: bool) -> None:
        """A client's script is about to run; raises Error when what it declares forbids that here and now."""
        self._check(flags, readonly=readonly, queued=call.session.transaction is not None)
        if readonly:
            flags |= NO_WRITES
        session = self._session
        client = call.session
        session.user = client.user
        session.superuser = client.superuser
        session.address, session.local_address = client.address, client.local_address
        session.name = client.name
        session.from_master = client.from_master
        session.readonly = client.readonly
        session.asking = client.asking
        session.call.db = call.db
        session.proto = 2
        self._client = client
        self._restricted = bool(client.mask & RESTRICTED)
        self._flags = flags
        self.resp = 2
        self.wrote = False
        self.now_ms = self._keyspace.now_ms
        self._replicate = _TO_ALL
        self._slot = self._declared_slot(call) if self._clustered else None

    def _check(self, flags: int, *, readonly: bool, queued: bool) -> None:
        """Refusals before a script with a shebang line, or a function, is run at all.

        One that comes by itself is refused like any command that does what it declares; in a transaction, Redis looks
        again and has words of its own.
        """
        holds = self._conditions.holds
        if flags & COMPATIBLE:
            if holds(STALE):
                raise Error(_STALE)
            return
        writes = not flags & NO_WRITES
        needs_memory = holds(OUT_OF_MEMORY) and writes and not flags & ALLOW_OOM
        is_stale = holds(STALE) and not flags & ALLOW_STALE
        if not queued:
            if needs_memory:
                raise Error(_NO_MEMORY)
            if writes:
                self._check_writes(_READ_ONLY_REPLICA)
            if is_stale:
                raise Error(_STALE)
        if self._clustered and flags & NO_CLUSTER:
            raise Error(b"ERR Can not run script on cluster, 'no-cluster' flag is set.")
        if is_stale:
            raise Error(
                b"MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag "
                b"is not set on the script."
            )
        if writes:
            self._check_writes(b"READONLY Can not run script with write flag on readonly replica")
            if readonly:
                raise Error(b"ERR Can not execute a script with write flag using *_ro command.")
        if needs_memory and not readonly:
            raise Error(_NO_ALLOW_OOM)

    def _check_writes(self, read_only: bytes) -> None:
        holds = self._conditions.holds
        if holds(DISK_ERROR):
            raise Error(self._conditions.disk_error)
        if holds(TOO_FEW_REPLICAS):
            raise Error(_TOO_FEW)
        if holds(READ_ONLY):
            raise Error(read_only)

    # ---- what scripts reach

    def call(self, *arguments: LuaValue) -> tuple[LuaValue, bool]:
        sandbox = self.sandbox
        command: Command | None = None
        try:
            argv = _words(arguments)
        except Error as mistake:
            return error_table(sandbox, mistake.text, counted=False), True
        try:
            if self.debugger is not None:
                self.debugger.command(argv)
            command = self._find(argv)
            self._admit(command, argv)
        except Error as refusal:
            if command is not None:
                command.rejected_calls += 1
            self._executor.aftermath.count(refusal)
            if self.debugger is not None:
                self.debugger.refused(refusal)
            return error_table(sandbox, refusal.text), True
        call = self._session.call
        before = len(self._keyspace.effects)
        reply = self._executor.indirect.run(call, command, argv)
        if self._client.tracked is not None:
            self._executor.tracking.read_in_script(self._client, call.db, command, argv)
        if self._replicate != _TO_ALL:
            self._choose(before)
        if self.debugger is not None:
            self.debugger.replied(reply, self.resp)
        if isinstance(reply, Error):
            return error_table(sandbox, reply.text), True
        return to_lua(sandbox, reply, self.resp), False

    def clock(self) -> float:
        """os.clock, in seconds; how long the server has been at work is nobody's business."""
        return self._clock.perf_ns() / 1e9

    def go_on(self, caching: bool | None, proceed: Callable[[], Reply]) -> Reply:
        """Run another part of the script, which was interrupted, as its client's command."""
        return self._executor.tracking.resume(self._client, caching, proceed)

    def _choose(self, before: int) -> None:
        """What a command has left of effects from `before` on goes where redis.set_repl has said, if anywhere."""
        effects = self._keyspace.effects
        chosen = effects[before:]
        del effects[before:]
        if self._replicate == _TO_LOG:
            effects += [(database, ForLog(argv)) for database, argv in chosen]
        elif self._replicate == _TO_REPLICAS:
            effects += [(database, ForReplicas(argv)) for database, argv in chosen]

    def call_many(self, arguments: LuaTable, count: int) -> tuple[LuaValue, bool]:
        return self.call(*map(arguments.__getitem__, range(1, count + 1)))

    def log(self, level: int, text: bytes) -> None:
        words = text.decode("utf-8", "replace")
        (self._log.debug, self._log.verbose, self._log.notice, self._log.warning)[level](words)

    def setresp(self, version: int) -> None:
        self.resp = self._session.proto = version

    def set_repl(self, flags: int) -> None:
        self._replicate = flags

    def acl_check(self, *arguments: LuaValue) -> tuple[bool, bytes | None]:
        try:
            argv = _words(arguments)
        except Error as error:
            return False, error.text
        try:
            command = self._table.find(argv)
        except Error:
            return False, _NO_SUCH_COMMAND
        return self._accounts.user_of(self._session).denial(command, argv) is None, None

    def tick(self) -> bytes | None:
        return self.on_tick()

    def register(self, name: bytes, callback: LuaFunction, description: bytes | None, flags: bytes) -> bytes | None:
        return self.on_register(name, callback, description, flags)

    # ---- the debugger

    def breakpoint(self) -> bool:
        if self.debugger is not None:
            self.debugger.breakpoint()
        return self.debugger is not None

    def debug(self, values: bytes) -> None:
        if self.debugger is not None:
            self.debugger.debug(values)

    def stops(self, line: int) -> bool:
        return self._debugger.stops(line)

    def next(self) -> tuple[bytes, LuaTable]:
        verb, *words = self._debugger.next()
        return verb, self.sandbox.table(words)

    def show(self, line: bytes) -> None:
        self._debugger.show(line)

    def show_value(self, prefix: bytes, value: bytes) -> None:
        self._debugger.show_value(prefix, value)

    def show_place(self, line: int, name: bytes, innermost: bool) -> None:
        self._debugger.show_place(line, name, innermost=innermost)

    @property
    def _debugger(self) -> Debugger:
        assert self.debugger is not None, "nobody debugs"
        return self.debugger

    # ---- refusals

    def _find(self, argv: list[bytes]) -> Command:
        try:
            return self._table.find(argv)
        except Error:
            # What has only subcommands is known by its name.
            alone = len(argv) == 1 and argv[0].lower() in self._table.by_name
            raise Error(_BAD_ARITY if alone else _UNKNOWN) from None

    def _admit(self, command: Command, argv: list[bytes]) -> None:
        """Raises Error when the command may not run, in the order in which Redis looks."""
        if not command.argc_min <= len(argv) <= command.argc_max:
            raise Error(_BAD_ARITY)
        flags = command.flags
        if flags & NOSCRIPT and not self.permits_all:
            raise Error(NOT_FROM_SCRIPTS)
        concerns = command.gates & self._conditions.mask
        if concerns & STALE and not flags & WHILE_STALE:
            raise Error(_STALE_REPLICA)
        if self._restricted:
            # The log tells of the client that runs the script.
            denial = self._accounts.denial(self._client, command, argv, b"lua")
            if denial is not None:
                raise Error(_DENIED[denial.reason])
        if flags & (WRITE | MAY_REPLICATE) and self._flags & NO_WRITES:
            raise Error(_READ_ONLY_SCRIPT)
        # A script that has written goes on to its end, so that it is not left half done.
        if flags & WRITE and not self.wrote:
            if concerns & READ_ONLY and not self._session.from_master:
                raise Error(_READ_ONLY_REPLICA)
            if concerns & DISK_ERROR:
                raise Error(self._conditions.disk_error)
            if concerns & TOO_FEW_REPLICAS:
                raise Error(_TOO_FEW)
        if concerns & OUT_OF_MEMORY and flags & NEEDS_MEMORY and not self.wrote and not self._flags & ALLOW_OOM:
            raise Error(_NO_MEMORY)
        if flags & WRITE:
            # Even if there turns out to be nothing to change, as in Redis.
            self.wrote = True
        if self._clustered and command.spec.keys and not self._session.from_master:
            self._check_slot(command, argv)

    def _declared_slot(self, call: Call) -> int | None:
        """The slot of the keys that are given to the script; None when there are none."""
        places = call.command.spec.keys_in(call.argv)
        return self._keyspace.slot_of(call.argv[places[0]]) if places else None

    def _check_slot(self, command: Command, argv: list[bytes]) -> None:
        if not self._executor.serves(command, argv):
            # It may be one that a replica, or the other end of an open slot, serves to this client.
            assert self._gatekeeper.redirect is not None, "slots without redirections"
            refusal = self._gatekeeper.redirect(self._session, command, command.flags, argv)
            if refusal is not None:
                raise Error(_DOWN.get(refusal.text, _FOREIGN_KEY))
        places = command.spec.keys_in(argv)
        if places and not self._flags & (COMPATIBLE | ALLOW_CROSS_SLOT_KEYS):
            slot = self._keyspace.slot_of(argv[places[0]])
            if self._slot not in (None, slot):
                raise Error(_TWO_SLOTS)
            self._slot = slot


def _words(arguments: tuple[LuaValue, ...]) -> list[bytes]:
    """The arguments as a command has them; raises Error."""
    if not arguments:
        raise Error(_NO_ARGUMENTS)
    argv = []
    for argument in arguments:
        if type(argument) is bytes:
            argv.append(argument)
        elif type(argument) is int or type(argument) is float:
            argv.append(b"%.17g" % argument)
        else:
            raise Error(_BAD_ARGUMENTS)
    return argv
