"""Where a command belongs: its keys, the one slot they share, or the reason why it has none.

Everything derives from the commands' declarations: the node's own table (the one import of a neighbouring room that the
design allows) and, for commands this build does not declare, what the cluster's nodes say in reply to COMMAND. So a
proxy or client of this version also routes the commands of a newer node, or of a module.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from cluster.slots import key_slot
from node.commands import MODULES
from wire.command import BLOCKING, FLAG_NAMES, READONLY, WRITE, CommandSpec, KeySpec
from wire.errors import Error, unknown_subcommand

CROSSSLOT = b"CROSSSLOT Keys in request don't hash to the same slot"

_FLAGS = {name: flag for flag, name in FLAG_NAMES.items()}
_LEFT_BRACE = 123


class Route:
    """What routing needs to know of one command."""

    __slots__ = (
        "arity",
        "blocking",
        "handler",
        "home",
        "in_multi",
        "key",
        "lone",
        "name",
        "readonly",
        "spec",
        "subcommands",
        "write",
    )

    def __init__(self, spec: CommandSpec) -> None:
        self.name = spec.name
        self.spec = spec
        self.arity = spec.arity
        # Where the only key is; 0 when finding the keys, or handling the command, takes more than that.
        self.key = 0
        only = spec.keys[0] if len(spec.keys) == 1 else None
        blocking = bool(spec.flags & BLOCKING)
        if (
            only is not None
            and not only.keyword
            and only.keynum < 0
            and only.last == 0
            and only.begin > 0
            and not blocking
        ):
            self.key = only.begin
        # With just so many arguments a command of many keys has one, the first (DEL key); 0: it never has.
        self.lone = 0
        # A command without keys that is always sent to the owner of this slot.
        self.home: int | None = None
        self.blocking = blocking
        # Changes nothing, so it may be sent twice.
        self.readonly = bool(spec.flags & READONLY) and not spec.flags & WRITE
        self.write = bool(spec.flags & WRITE)
        self.subcommands: dict[bytes, Route] = {}
        # The proxy's way of handling it; None: pass it on by its keys.
        self.handler: Any = None
        # A command with a handler of its own may all the same be queued in a transaction.
        self.in_multi = False

    def fits(self, argc: int) -> bool:
        """Whether it takes `argc` arguments, its name included."""
        return argc == self.arity if self.arity > 0 else argc >= -self.arity

    def keys(self, argv: Sequence[bytes]) -> list[bytes]:
        """The keys among the arguments."""
        return [argv[index] for index in self.spec.keys_in(argv) if index < len(argv)]

    def slot(self, argv: Sequence[bytes]) -> int | None:
        """The slot of the command's keys, None when it has none; raises `Error` CROSSSLOT."""
        if self.key:
            return key_slot(argv[self.key]) if self.key < len(argv) else None
        slot = self.home
        for key in self.keys(argv):
            own = crc_hqx(key, 0) & 0x3FFF if _LEFT_BRACE not in key else key_slot(key)
            if slot is not None and own != slot:
                raise Error(CROSSSLOT)
            slot = own
        return slot


class RouteTable:
    """Routes by name."""

    __slots__ = ("by_name",)

    def __init__(self, specs: Iterable[CommandSpec]) -> None:
        # Both usual spellings, all lower and all upper case.
        self.by_name: dict[bytes, Route] = {}
        self.add(specs)

    def add(self, specs: Iterable[CommandSpec]) -> list[Route]:
        """Take in what is not known yet; returns the new routes."""
        known = list(specs)
        added = []
        for spec in sorted(known, key=lambda spec: "|" in spec.name):
            parent, _, sub = spec.name.encode().partition(b"|")
            if not sub and parent not in self.by_name:
                added.append(Route(spec))
                self.by_name[parent] = self.by_name[parent.upper()] = added[-1]
            elif sub and parent in self.by_name and sub not in self.by_name[parent].subcommands:
                added.append(Route(spec))
                self.by_name[parent].subcommands[sub] = added[-1]
        return added

    def knows(self, argv: Sequence[bytes]) -> bool:
        """Whether anybody has declared the command."""
        return argv[0].lower() in self.by_name

    def find(self, argv: Sequence[bytes]) -> Route | None:
        """The route of the command or subcommand that `argv` names; None for a command nobody told us of. Raises
        `Error` for a subcommand that its container does not have."""
        route = self.by_name.get(argv[0]) or self.by_name.get(argv[0].lower())
        if route is None or not route.subcommands or len(argv) < 2:
            return route
        subcommand = route.subcommands.get(argv[1].lower())
        if subcommand is None and route.spec.handler is None and b"help" in route.subcommands:
            raise unknown_subcommand(argv[1], route.name)
        return subcommand or route


def declared_specs() -> list[CommandSpec]:
    """The node's own declarations."""
    return specs_of(MODULES)


def specs_of(modules: Iterable[ModuleType]) -> list[CommandSpec]:
    """The commands declared in `modules`."""
    return [spec for module in modules for spec in vars(module).values() if isinstance(spec, CommandSpec)]


def specs_from_command_reply(reply: Any) -> list[CommandSpec]:
    """What a node's reply to COMMAND declares; entries that cannot be read are left out."""
    specs: list[CommandSpec] = []
    for entry in reply if isinstance(reply, list) else ():
        try:
            specs.append(_spec(entry))
            specs += [_spec(subcommand) for subcommand in entry[9]]
        except (TypeError, ValueError, IndexError, AttributeError, KeyError):
            continue
    return specs


def _spec(entry: list[Any]) -> CommandSpec:
    """One element of COMMAND's reply: name, arity, flags, first key, last key, step, categories, tips, key
    specifications, subcommands."""
    name, arity, flags, first, last, step, _, tips, keys = entry[:9]
    found = [spec for spec in map(_key_spec, keys) if spec is not None]
    if not found and first > 0:
        found = [KeySpec(first, (), last=last - first if last >= 0 else last, step=step)]
    return CommandSpec(
        name=_text(name).lower(),
        handler=None,
        arity=arity,
        flags=sum(_FLAGS.get(_text(flag), 0) for flag in flags),
        keys=tuple(found),
        group="",
        since="",
        complexity="",
        summary="",
        syntax="",
        tips=tuple(_text(tip) for tip in tips),
    )


def _key_spec(raw: Any) -> KeySpec | None:
    """A key specification; None for those that only say that the keys cannot be known from outside (SORT ... BY)."""
    fields = _pairs(raw)
    begin, find = _pairs(fields["begin_search"]), _pairs(fields["find_keys"])
    if _text(begin["type"]) == "unknown" or _text(find["type"]) == "unknown":
        return None
    where, how = _pairs(begin["spec"]), _pairs(find["spec"])
    keyword = _text(where.get("keyword", b""))
    start = where["startfrom"] if keyword else where["index"]
    flags = tuple(_text(flag) for flag in fields["flags"])
    if _text(find["type"]) == "keynum":
        keynum, first = how["keynumidx"], how["firstkey"]
        return KeySpec(start, flags, keyword=keyword, keynum=keynum, first=first, step=how["keystep"])
    return KeySpec(start, flags, keyword=keyword, last=how["lastkey"], step=how["keystep"], limit=how["limit"])


def _pairs(raw: Any) -> dict[str, Any]:
    """A map as RESP2 (flat) or RESP3 has it."""
    if isinstance(raw, dict):
        return {_text(key): value for key, value in raw.items()}
    return {_text(key): value for key, value in zip(raw[::2], raw[1::2], strict=True)}


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
