"""The commands of one process: declarations collected from modules, and a live record for each.

A `CommandSpec` is shared by every process in an interpreter (the simulator runs many); the `Command` made
from it belongs to one process and carries its counters and its gate mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from wire.command import WRITE, CommandSpec, Handler
from wire.decoder import Batch
from wire.durations import Durations
from wire.errors import Error, unknown_command, unknown_subcommand, wrong_arity
from wire.reply import Reply
from wire.session import ALWAYS

_NO_LIMIT = 1 << 40


class StretchNotes:
    """What is to be known of commands that ran in one go, beside their replies."""

    __slots__ = ("apart", "effects", "missing", "unchanged")

    def __init__(self, *, apart: bool = False) -> None:
        # Whether each reply is to be a piece of its own.
        self.apart = apart
        # Whether there may be nulls among the replies.
        self.missing = False
        # Which of them changed nothing, by their place among them, ascending.
        self.unchanged: list[int] = []
        # What is passed on in their place, encoded; empty: they themselves.
        self.effects = b""

    def passed_on(self, batch: Batch, first: int, stop: int) -> bytes:
        """What replicas and the log get of commands `first` to `stop` - 1 of the batch, which are those."""
        if self.effects:
            return self.effects
        if self.unchanged:
            return batch.encoded_without(first, stop, [first + at for at in self.unchanged])
        return batch.encoded(first, stop)


# Runs the first of commands that are alike, as many as are ordinary, and returns how many those were: (call, their
# columns (`wire.decoder.Batch`), table of slots, notes). Replies go to the session (`node.stretches`).
Stretch = Callable[[Any, list[list[bytes]], bytearray, StretchNotes], int]
# Stretches that are shorter are not run in one go; and so often the rest of a batch is tried again.
STRETCH_MIN = 4
STRETCHES_MAX = 8


class Command:
    """One command of this process."""

    __slots__ = (
        "argc_max",
        "argc_min",
        "brief_words",
        "durations",
        "failed_calls",
        "flags",
        "gates",
        "handler",
        "key_index",
        "name",
        "notice_ns",
        "rejected_calls",
        "sampled_calls",
        "sampled_ns",
        "settled_calls",
        "single_argc_max",
        "spec",
        "stretch",
        "stretch_argc",
        "subcommands",
        "timed",
        "timed_calls",
        "timed_ns",
        "untimed_calls",
        "writes",
    )

    def __init__(self, spec: CommandSpec, gates: int) -> None:
        self.spec = spec
        self.name = spec.name
        self.handler: Handler = spec.handler or _no_handler
        self.flags = spec.flags
        self.writes = bool(spec.flags & WRITE)
        # How many arguments it takes, its name included.
        self.argc_min = abs(spec.arity)
        self.argc_max = spec.arity if spec.arity > 0 else _NO_LIMIT
        # The conditions that send it to the slow lane (`node.gates`); containers always go there.
        self.gates = gates
        # With so many words it never takes long by itself, nor parks the client: its like can run one after another.
        self.brief_words = spec.brief_words
        # With more words it is timed, and so not run where commands that come by themselves are (`wire.singles`).
        self.single_argc_max = min(self.argc_max, self.brief_words or _NO_LIMIT)
        # Where its only key is; 0 when it has none, -1 when finding its keys takes the declaration.
        self.key_index = _single_key(spec)
        # How several of it with so many arguments (0: with any number) run in one go, if they can.
        self.stretch: Stretch | None = None
        self.stretch_argc = 0
        # By lower-case name, for a container.
        self.subcommands: dict[bytes, Command] = {}
        # For INFO commandstats: how many runs were timed, how long they took altogether, and how many were not timed.
        self.timed_calls = 0
        self.timed_ns = 0
        self.untimed_calls = 0
        # Of those that were timed, those like the ones that were not: of clients that wait for each reply.
        self.sampled_calls = 0
        self.sampled_ns = 0
        # How often it was refused, or failed.
        self.rejected_calls = 0
        self.failed_calls = 0
        # What `calls` was at the last settlement of the table.
        self.settled_calls = 0
        # A run this long is looked at more closely by whoever ran it: 0 while runs are being sampled for `durations`.
        self.notice_ns = 0
        # Whether the next run for a client that waits for each reply is timed. Reading the clock twice costs such a
        # client's command a fifteenth, so a brief one is timed only while runs are being sampled.
        self.timed = True
        self.durations = Durations()

    @property
    def calls(self) -> int:
        """How often it ran."""
        return self.timed_calls + self.untimed_calls

    @property
    def nanoseconds(self) -> int:
        """How long all runs took, those that were not timed as long as the others that were like them."""
        if self.sampled_calls:
            return self.timed_ns + self.untimed_calls * self.sampled_ns // self.sampled_calls
        return self.timed_ns + self.untimed_calls * self.timed_ns // max(self.timed_calls, 1)

    def forget_calls(self) -> None:
        """CONFIG RESETSTAT."""
        self.timed_calls = self.timed_ns = self.untimed_calls = self.sampled_calls = self.sampled_ns = 0
        self.rejected_calls = self.failed_calls = self.settled_calls = 0
        self.durations.clear()
        self.settle()

    def settle(self) -> Durations:
        """Bring the distribution up to date, and begin to sample again."""
        self.durations.settle(self.calls)
        self.notice_ns = 0
        self.timed = True
        return self.durations

    def check_arity(self, argc: int) -> None:
        """Raises Error when `argc` arguments (the name included) are too few or too many."""
        if not self.argc_min <= argc <= self.argc_max:
            raise wrong_arity(self.name)


class CommandTable:
    """Look-up by name, and the list of all."""

    __slots__ = ("_every", "all", "by_name", "noticed", "settled_calls")

    def __init__(self, modules: Iterable[ModuleType], gates_of: Callable[[CommandSpec], int]) -> None:
        # Top-level commands by lower-case name, in order of declaration.
        self.all: dict[str, Command] = {}
        # The executor's way in: both usual spellings, all lower and all upper case.
        self.by_name: dict[bytes, Command] = {}
        subcommands: list[Command] = []
        for module in modules:
            for spec in vars(module).values():
                if not isinstance(spec, CommandSpec):
                    continue
                command = Command(spec, gates_of(spec))
                if "|" in spec.name:
                    subcommands.append(command)
                else:
                    assert spec.name not in self.all or self.all[spec.name].spec is spec, f"{spec.name} declared twice"
                    self.all[spec.name] = command
        for command in subcommands:
            parent, _, name = command.name.partition("|")
            self.all[parent].subcommands[name.encode()] = command
            # It is the subcommand that runs, even where its parent can run by itself (COMMAND).
            self.all[parent].gates |= ALWAYS
        for name, command in self.all.items():
            self.by_name[name.encode()] = command
            self.by_name[name.upper().encode()] = command
        self._every = self._list()
        # Those that were run since the last settlement: of several hundred, a few. Whoever runs one notices the first
        # runs of each, and puts it here.
        self.noticed: dict[Command, None] = {}
        # What `calls` was when the distributions were brought up to date, a tenth of a second ago at the most.
        self.settled_calls = 0

    def rename(self, old: str, new: str) -> None:
        """Let a command be called `new` only; with an empty name nobody can call it (`rename-command`).

        Raises ValueError in Redis' words.
        """
        command = self.all.get(old.lower())
        if command is None:
            raise ValueError("No such command in rename-command")
        if new and new.lower() != old.lower() and new.lower() in self.all:
            raise ValueError("Target command name already exists")
        for spelling in (old.lower(), old.upper()):
            del self.by_name[spelling.encode()]
        del self.all[old.lower()]
        if new:
            self.all[new.lower()] = command
            for spelling in (new.lower(), new.upper()):
                self.by_name[spelling.encode()] = command
        self._every = self._list()

    def find(self, argv: Sequence[bytes]) -> Command:
        """The command or subcommand that `argv` names; raises Error in Redis' words when there is none."""
        command = self.by_name.get(argv[0]) or self.by_name.get(argv[0].lower())
        if command is None:
            raise unknown_command(list(argv))
        if command.subcommands and (len(argv) > 1 or command.spec.handler is None):
            return self._subcommand(command, argv)
        return command

    def every(self) -> tuple[Command, ...]:
        """All commands, each followed by its subcommands."""
        return self._every

    def _list(self) -> tuple[Command, ...]:
        return tuple(each for command in self.all.values() for each in (command, *command.subcommands.values()))

    @property
    def calls(self) -> int:
        """How many commands have been run, those within transactions and scripts included."""
        return sum([command.calls for command in self._every])

    def settle(self) -> None:
        """Bring the distributions of all commands up to date."""
        for command in self.noticed:
            self.settled_calls += command.calls - command.settled_calls
            command.settled_calls = command.calls
            command.settle()
        self.noticed.clear()

    def get(self, name: str) -> Command | None:
        """By a name in any case, ``config|get`` for a subcommand."""
        parent, _, sub = name.lower().partition("|")
        command = self.all.get(parent)
        if command is None or not sub:
            return command
        return command.subcommands.get(sub.encode())

    @staticmethod
    def _subcommand(command: Command, argv: Sequence[bytes]) -> Command:
        if len(argv) < 2:
            raise wrong_arity(command.name)
        found = command.subcommands.get(argv[1].lower())
        if found is not None:
            return found
        # COMMAND itself runs without a subcommand; with one it does not know, it refuses like a container.
        raise unknown_subcommand(argv[1], command.name)


def _single_key(spec: CommandSpec) -> int:
    if not spec.keys:
        return 0
    only = spec.keys[0]
    if len(spec.keys) == 1 and not only.keyword and only.keynum < 0 and only.last == 0:
        return only.begin
    return -1


def _no_handler(_: object) -> Reply:
    raise Error(b"ERR a container runs only through its subcommands")
