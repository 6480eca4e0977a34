"""COMMAND: the commands of this server, described by their declarations."""

from __future__ import annotations

from collections.abc import Iterator

from wire import describe
from wire.call import Call
from wire.command import LOADING, NO_MANDATORY_KEYS, STALE, command
from wire.errors import SYNTAX, Error
from wire.glob import matches
from wire.key_places import KeyPlace
from wire.reply import Reply, ReplySet, Simple
from wire.table import Command

_HELP = (
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Return details about all Redis commands.",
    "COUNT",
    "    Return the total number of commands in this Redis server.",
    "LIST",
    "    Return a list of all commands in this Redis server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple Redis commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full Redis command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full Redis command.",
    "HELP",
    "    Prints this help.",
)


@command(
    "COMMAND",
    arity=-1,
    flags=LOADING | STALE,
    group="server",
    since="2.8.13",
    complexity="O(N) where N is the total number of Redis commands",
    summary="Returns detailed information about all commands.",
    categories=("connection",),
    tips=("nondeterministic_output_order",),
)
def command_(call: Call) -> Reply:
    return [describe.info(each) for each in call.front.table.all.values()]


@command(
    "COMMAND|COUNT",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="2.8.13",
    complexity="O(1)",
    summary="Returns a count of commands.",
    categories=("connection",),
)
def count(call: Call) -> Reply:
    return len(call.front.table.all)


@command(
    "COMMAND|INFO",
    arity=-2,
    flags=LOADING | STALE,
    group="server",
    since="2.8.13",
    complexity="O(N) where N is the number of commands to look up",
    summary="Returns information about one, multiple or all commands.",
    syntax="[command-name ...]",
    history=(("7.0.0", "Allowed to be called with no argument to get info on all commands."),),
    categories=("connection",),
    tips=("nondeterministic_output_order",),
)
def info(call: Call) -> Reply:
    names = call.argv[2:]
    if not names:
        return command_.handler(call) if command_.handler is not None else []
    found = [call.front.table.get(name.decode("utf-8", "replace")) for name in names]
    return [None if each is None else describe.info(each) for each in found]


@command(
    "COMMAND|DOCS",
    arity=-2,
    flags=LOADING | STALE,
    group="server",
    since="7.0.0",
    complexity="O(N) where N is the number of commands to look up",
    summary="Returns documentary information about one, multiple or all commands.",
    syntax="[command-name ...]",
    categories=("connection",),
    tips=("nondeterministic_output_order",),
)
def docs(call: Call) -> Reply:
    table = call.front.table
    names = call.argv[2:]
    if names:
        looked_up = [table.get(name.decode("utf-8", "replace")) for name in names]
        found = [each for each in looked_up if each is not None]
    else:
        found = list(table.all.values())
    return {each.name.encode(): describe.docs(each) for each in found}


@command(
    "COMMAND|LIST",
    arity=-2,
    flags=LOADING | STALE,
    group="server",
    since="7.0.0",
    complexity="O(N) where N is the total number of Redis commands",
    summary="Returns a list of command names.",
    syntax="[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    categories=("connection",),
    tips=("nondeterministic_output_order",),
)
def list_(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 2:
        return [each.name.encode() for each in _everything(call)]
    if len(argv) != 5 or argv[2].upper() != b"FILTERBY":
        raise Error(SYNTAX)
    by, wanted = argv[3].upper(), argv[4]
    if by == b"MODULE":
        return []  # no module can be loaded
    if by == b"ACLCAT":
        category = wanted.lower().decode("utf-8", "replace")
        return [each.name.encode() for each in _everything(call) if category in describe.categories(each.spec)]
    if by == b"PATTERN":
        # Redis compares without regard to case (`stringmatch` with nocase).
        pattern = wanted.lower()
        return [each.name.encode() for each in _everything(call) if matches(pattern, each.name.encode())]
    raise Error(SYNTAX)


@command(
    "COMMAND|GETKEYS",
    arity=-4,
    flags=LOADING | STALE,
    group="server",
    since="2.8.13",
    complexity="O(N) where N is the number of arguments to the command",
    summary="Extracts the key names from an arbitrary command.",
    syntax="command [arg ...]",
    categories=("connection",),
)
def getkeys(call: Call) -> Reply:
    argv = call.argv[2:]
    return [argv[index] for index, _ in _key_places(call)]


@command(
    "COMMAND|GETKEYSANDFLAGS",
    arity=-4,
    flags=LOADING | STALE,
    group="server",
    since="7.0.0",
    complexity="O(N) where N is the number of arguments to the command",
    summary="Extracts the key names and access flags for an arbitrary command.",
    syntax="command [arg ...]",
    categories=("connection",),
)
def getkeysandflags(call: Call) -> Reply:
    argv = call.argv[2:]
    return [[argv[index], ReplySet(Simple(flag.encode()) for flag in flags)] for index, flags in _key_places(call)]


@command(
    "COMMAND|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
    categories=("connection",),
)
def help_(_: Call) -> Reply:
    return [Simple(line.encode()) for line in _HELP]


def _everything(call: Call) -> Iterator[Command]:
    for each in call.front.table.all.values():
        yield each
        yield from each.subcommands.values()


def _key_places(call: Call) -> list[KeyPlace]:
    """Where the keys are in the command that the arguments spell; raises Error in COMMAND GETKEYS' words."""
    argv = call.argv[2:]
    try:
        found = call.front.table.find(argv)
    except Error:
        raise Error(b"ERR Invalid command specified") from None
    if all("not_key" in key.flags for key in found.spec.keys):
        raise Error(b"ERR The command has no key arguments")
    if not found.argc_min <= len(argv) <= found.argc_max:
        raise Error(b"ERR Invalid number of arguments specified for command")
    places = found.spec.keys_with_flags(argv)
    if not places and not found.flags & NO_MANDATORY_KEYS:
        raise Error(b"ERR Invalid arguments specified for command")
    return places
