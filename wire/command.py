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

from wire.key_places import KeyFinder, KeyPlace, counted
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
    # COMMAND INFO has no words for where these keys are.
    unknown: bool = False

    def find(self, argv: Sequence[bytes]) -> range:
        """The indexes of the keys in `argv`; empty when the arguments do not hold them."""
        start = self.start(argv)
        if start <= 0 or start >= len(argv) or self.unknown:
            return range(0)
        if self.keynum >= 0:
            count = _count(argv[start + self.keynum]) if start + self.keynum < len(argv) else 0
            first = start + self.first
            stop = first + count * self.step
            return range(first, stop, self.step) if stop <= len(argv) + self.step - 1 else range(0)
        last = start + self.last if self.last >= 0 else len(argv) + self.last
        if self.limit > 1 and self.last < 0:
            last = start + (len(argv) - start) // self.limit + self.last
        return range(start, min(last, len(argv) - 1) + 1, self.step)

    def start(self, argv: Sequence[bytes]) -> int:
        """Where the search ends, and the keys begin; 0 when the keyword is not there."""
        if not self.keyword:
            return self.begin
        keyword = self.keyword.encode()
        if self.begin >= 0:
            places = range(self.begin, len(argv) - 1)
        else:
            places = range(len(argv) + self.begin, 1, -1)
        for index in places:
            if argv[index].upper() == keyword:
                return index + 1
        return 0


def _count(text: bytes) -> int:
    """A count of keys as Redis reads numbers (`string2ll`); 0 for anything else."""
    if text.isdigit() and not text.startswith(b"0") and len(text) < 10:
        return int(text)
    return 0


def key(index: int, *flags: str, notes: str = "") -> tuple[KeySpec, ...]:
    """One key, at argument `index`. Flags: RO, RW, OW or RM first, then access, update, insert, delete."""
    return (KeySpec(index, flags, notes=notes),)


def keys(first: int, last: int, step: int, *flags: str) -> tuple[KeySpec, ...]:
    """Keys from argument `first` to `last` (negative: counted from the end), every `step`-th."""
    return (KeySpec(first, flags, last=last - first if last >= 0 else last, step=step),)


def numkeys(index: int, *flags: str, step: int = 1) -> tuple[KeySpec, ...]:
    """As many keys as argument `index` says, from the one behind it on every `step`-th."""
    return (KeySpec(index, flags, step=step, keynum=0, first=1),)


# So many words are dealt with in far less than a millisecond.
_BRIEF_WORDS = 64


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
    # Reads the arguments for the keys, where that takes more than the specifications.
    find_keys: KeyFinder | None = None
    # With more words than so many it may take long, and with any number if this is 0.
    brief_words: int = 0

    def keys_in(self, argv: Sequence[bytes]) -> list[int]:
        """The indexes of the keys in `argv`, as the command itself will look at them; none in what it refuses."""
        if self.find_keys is not None:
            return [index for index, _ in self.find_keys(argv)]
        return [index for spec in self.keys for index in spec.find(argv)]

    def keys_with_flags(self, argv: Sequence[bytes]) -> list[KeyPlace]:
        """The keys in `argv` and how they are used, as COMMAND GETKEYS and the rules of ACL see them.

        By the specifications, which say how keys are used; where those are at a loss, by the arguments (Redis:
        `getKeysFromCommandWithSpecs`).
        """
        places = self._described(argv)
        if places is not None:
            return places
        return self.find_keys(argv) if self.find_keys is not None else []

    def _described(self, argv: Sequence[bytes]) -> list[KeyPlace] | None:
        """The keys by their specifications; None when these do not fit the arguments, or cannot tell."""
        places: list[KeyPlace] = []
        for spec in self.keys:
            flags = spec.flags
            if "not_key" in flags or (spec.keyword and not spec.unknown and not spec.start(argv)):
                continue
            found = spec.find(argv)
            if not found or found[0] >= len(argv) or "variable_flags" in flags or "incomplete" in flags:
                return None
            places += [(index, flags) for index in found]
        return places


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
    find_keys: KeyFinder | None = None,
    brief_words: int | None = None,
) -> Callable[[Handler], CommandSpec]:
    """Declare the function below as the command `name`.

    What is fast, or O(1), is brief unless it has too many words. `brief_words` is for what takes long by something
    else: how much it is told to take away, how far off it writes, who listens.
    """
    if brief_words is None:
        brief_words = _BRIEF_WORDS if (flags & FAST or complexity == "O(1)") and not flags & (BLOCKING | ADMIN) else 0

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
            find_keys=find_keys or _counted_keys(keys),
            brief_words=brief_words,
        )

    return attach


def _counted_keys(specs: tuple[KeySpec, ...]) -> KeyFinder | None:
    """How keys that an argument counts are found; None without any."""
    for spec in specs:
        if spec.keynum >= 0:
            target = next((other.begin for other in specs if other is not spec), 0)
            return counted(spec.begin + spec.keynum, target, spec.step)
    return None


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
