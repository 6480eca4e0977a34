"""How a command is declared: once, above an ordinary function.

    @command("GETDEL", arity=2, flags=WRITE | FAST, keys=key(1, "RW", "access", "delete"), group="string",
             since="6.2.0", complexity="O(1)", summary="Returns the string value of a key after deleting the key.",
             syntax="key")
    def getdel(call: Call) -> Reply: ...

COMMAND and its subcommands, the gates, slot extraction, replication, proxy routing and the docs' table all
derive from the declaration. The decorator turns the function into a `CommandSpec`; a table collects the
specs of an explicit list of modules (`wire.table`). Subcommands are declared as ``"CONFIG|GET"`` and their
container with `container`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from wire.reply import Reply

# Flags, by Redis' names (COMMAND INFO shows them in lower case with underscores).
WRITE = 1 << 0
READONLY = 1 << 1
DENYOOM = 1 << 2
ADMIN = 1 << 3
PUBSUB = 1 << 4
NOSCRIPT = 1 << 5
BLOCKING = 1 << 6
LOADING = 1 << 7
STALE = 1 << 8
SKIP_MONITOR = 1 << 9
SKIP_SLOWLOG = 1 << 10
ASKING = 1 << 11
FAST = 1 << 12
NO_AUTH = 1 << 13
MAY_REPLICATE = 1 << 14
NO_MANDATORY_KEYS = 1 << 15
NO_ASYNC_LOADING = 1 << 16
NO_MULTI = 1 << 17
ALLOW_BUSY = 1 << 18
# Not Redis': inside MULTI the command runs at once (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET).
UNQUEUED = 1 << 19
# Not Redis': a subscribed RESP2 connection may still send it.
IN_SUBSCRIPTION = 1 << 20
# Redis' touches_arbitrary_keys, which it does not show: the command meets keys that have nothing to do with each other,
# and those that it finds expired are deleted one by one, not as a transaction.
ARBITRARY_KEYS = 1 << 21

FLAG_NAMES = {
    WRITE: "write",
    READONLY: "readonly",
    DENYOOM: "denyoom",
    ADMIN: "admin",
    PUBSUB: "pubsub",
    NOSCRIPT: "noscript",
    BLOCKING: "blocking",
    LOADING: "loading",
    STALE: "stale",
    SKIP_MONITOR: "skip_monitor",
    SKIP_SLOWLOG: "skip_slowlog",
    ASKING: "asking",
    FAST: "fast",
    NO_AUTH: "no_auth",
    MAY_REPLICATE: "may_replicate",
    NO_MANDATORY_KEYS: "no_mandatory_keys",
    NO_ASYNC_LOADING: "no_async_loading",
    NO_MULTI: "no_multi",
    ALLOW_BUSY: "allow_busy",
}

Handler = Callable[[Any], Reply]


@dataclass(frozen=True, slots=True)
class Options:
    """The options among which a keyword stands: those with arguments, which may look like it."""

    # The argument with which they begin.
    at: int
    # How many arguments each has; others have none.
    arguments: dict[bytes, int]
    # Whether the keyword may come again, and the last one counts.
    last_counts: bool = False

    def find(self, argv: Sequence[bytes], keyword: bytes) -> int:
        """The index of the argument behind the keyword; 0 when it is not there."""
        found, index = 0, self.at
        while index < len(argv) - 1:
            word = argv[index].upper()
            if word == keyword:
                found = index + 1
                if not self.last_counts:
                    break
            index += 1 + self.arguments.get(word, 0)
        return found


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Where a command's keys are, in the shape COMMAND INFO gives (key specifications, Redis 7).

    The search begins at argument `begin` (or after the keyword `keyword`, looked for from there; negative:
    from the end). Then either a range (`last` relative to the beginning, negative from the end; `step`;
    `limit`), or, with `keynum` >= 0, a count of keys in argument beginning + `keynum`, the first key being
    `first` arguments further.
    """

    begin: int
    flags: tuple[str, ...]
    keyword: str = ""
    last: int = 0
    step: int = 1
    limit: int = 0
    keynum: int = -1
    first: int = 0
    notes: str = ""
    # COMMAND INFO has no words for where these keys are (and `find` may know only some of them).
    unknown: bool = False
    # An empty argument says that there is no key here (MIGRATE).
    optional: bool = False
    # Where the keyword really is, when the words of COMMAND INFO are not enough to say so.
    options: Options | None = None

    def find(self, argv: Sequence[bytes]) -> range:
        """The indexes of the keys in `argv`; empty when the arguments do not hold them."""
        start = self._start(argv)
        if start <= 0 or start >= len(argv) or (self.optional and not argv[start]):
            return range(0)
        if self.keynum >= 0:
            try:
                count = int(argv[start + self.keynum])
            except (ValueError, IndexError):
                return range(0)
            first = start + self.first
            stop = first + max(count, 0) * self.step
            return range(first, stop, self.step) if stop <= len(argv) + self.step - 1 else range(0)
        last = start + self.last if self.last >= 0 else len(argv) + self.last
        if self.limit > 1 and self.last < 0:
            last = start + (len(argv) - start) // self.limit + self.last
        return range(start, min(last, len(argv) - 1) + 1, self.step)

    def _start(self, argv: Sequence[bytes]) -> int:
        if not self.keyword:
            return self.begin
        keyword = self.keyword.encode()
        if self.options is not None:
            return self.options.find(argv, keyword)
        if self.begin >= 0:
            places = range(self.begin, len(argv) - 1)
        else:
            places = range(len(argv) + self.begin, 0, -1)
        for index in places:
            if argv[index].upper() == keyword:
                return index + 1
        return 0


def key(index: int, *flags: str, notes: str = "") -> tuple[KeySpec, ...]:
    """One key, at argument `index`. Flags: RO, RW, OW or RM first, then access, update, insert, delete."""
    return (KeySpec(index, flags, notes=notes),)


def keys(first: int, last: int, step: int, *flags: str) -> tuple[KeySpec, ...]:
    """Keys from argument `first` to `last` (negative: counted from the end), every `step`-th."""
    return (KeySpec(first, flags, last=last - first if last >= 0 else last, step=step),)


def numkeys(index: int, *flags: str) -> tuple[KeySpec, ...]:
    """As many keys as argument `index` says, right behind it."""
    return (KeySpec(index, flags, keynum=0, first=1),)


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One declared command."""

    name: str  # lower case; "config|get" for a subcommand
    handler: Handler | None  # None for a container, which runs only through its subcommands
    arity: int  # the name counts; negative: at least that many
    flags: int
    keys: tuple[KeySpec, ...]
    group: str
    since: str
    complexity: str
    summary: str
    syntax: str  # arguments in the notation of Redis' command pages; see wire.syntax
    categories: tuple[str, ...] = ()  # ACL categories in place of the one that the group gives
    tips: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()
    deprecated: tuple[str, str] | None = None  # since which version, replaced by what
    help: tuple[str, ...] = field(default=())  # a container's lines for its HELP subcommand
    # What a key specification flagged variable_flags means with these arguments.
    key_flags: Callable[[Sequence[bytes]], tuple[str, ...]] | None = None

    def flags_of(self, key: KeySpec, argv: Sequence[bytes]) -> tuple[str, ...]:
        """How the keys of one specification are used with these arguments."""
        return key.flags if self.key_flags is None else self.key_flags(argv)

    def keys_in(self, argv: Sequence[bytes]) -> list[int]:
        """The indexes of all keys in `argv`, in order of the specifications."""
        return [index for spec in self.keys for index in spec.find(argv)]


def command(
    name: str,
    *,
    arity: int,
    flags: int = 0,
    keys: tuple[KeySpec, ...] = (),
    group: str,
    since: str,
    complexity: str,
    summary: str,
    syntax: str = "",
    categories: tuple[str, ...] = (),
    tips: tuple[str, ...] = (),
    history: tuple[tuple[str, str], ...] = (),
    deprecated: tuple[str, str] | None = None,
    key_flags: Callable[[Sequence[bytes]], tuple[str, ...]] | None = None,
) -> Callable[[Handler], CommandSpec]:
    """Declare the function below as the command `name`."""

    def attach(handler: Handler) -> CommandSpec:
        return CommandSpec(
            name=name.lower(),
            handler=handler,
            arity=arity,
            flags=flags,
            keys=keys,
            group=group,
            since=since,
            complexity=complexity,
            summary=summary,
            syntax=syntax,
            categories=categories,
            tips=tips,
            history=history,
            deprecated=deprecated,
            key_flags=key_flags,
        )

    return attach


def container(
    name: str,
    *,
    group: str,
    since: str,
    summary: str,
    flags: int = 0,
    help: tuple[str, ...] = (),
) -> CommandSpec:
    """Declare a command that only has subcommands; assign the result to a module variable."""
    return CommandSpec(
        name=name.lower(),
        handler=None,
        arity=-2,
        flags=flags,
        keys=(),
        group=group,
        since=since,
        complexity="Depends on subcommand.",
        summary=summary,
        syntax="",
        help=help,
    )
