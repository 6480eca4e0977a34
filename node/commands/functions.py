"""FCALL, and FUNCTION: libraries of functions that are kept with the data."""

from __future__ import annotations

from typing import Any

from node.call import Call
from node.commands.scripts import READ_KEYS, SCRIPT_FLAGS, WRITTEN_KEYS, parse_key_count, run_script
from node.persistence.payload import sealed, unsealed
from node.persistence.rdb_encoding import FUNCTION2, Cursor, encode_string
from node.persistence.rdb_errors import RdbError
from node.scripting.flags import NAMES
from node.scripting.functions import Library
from wire.command import (
    ALLOW_BUSY,
    DENYOOM,
    LOADING,
    MAY_REPLICATE,
    NOSCRIPT,
    READONLY,
    STALE,
    WRITE,
    command,
    container,
)
from wire.commands.help import help_lines
from wire.errors import Error, until_nul, wrong_subcommand
from wire.glob import matcher
from wire.reply import OK, Reply, ReplySet, Simple

_COMPLEXITY = "Depends on the function that is executed."
_SYNTAX = "function numkeys [key [key ...]] [arg [arg ...]]"
_ALL_SUCCEEDED = ("request_policy:all_shards", "response_policy:all_succeeded")
_ENGINE = b"LUA"


@command(
    "FCALL",
    arity=-3,
    flags=SCRIPT_FLAGS | MAY_REPLICATE,
    keys=WRITTEN_KEYS,
    group="scripting",
    since="7.0.0",
    complexity=_COMPLEXITY,
    summary="Invoke a function",
    syntax=_SYNTAX,
)
def fcall(call: Call) -> Reply:
    return _fcall(call, readonly=False)


@command(
    "FCALL_RO",
    arity=-3,
    flags=SCRIPT_FLAGS | READONLY,
    keys=READ_KEYS,
    group="scripting",
    since="7.0.0",
    complexity=_COMPLEXITY,
    summary="Invoke a read-only function",
    syntax=_SYNTAX,
)
def fcall_ro(call: Call) -> Reply:
    return _fcall(call, readonly=True)


def _fcall(call: Call, *, readonly: bool) -> Reply:
    call.node.monitor.announce(call.session, call.command, call.argv)
    function = call.node.libraries.function(call.argv[1])
    if function is None:
        raise Error(b"ERR Function not found")
    key_count = parse_key_count(call.argv, b"ERR Bad number of keys provided")
    return run_script(call, function.script, key_count, readonly=readonly)


function_ = container(
    "FUNCTION",
    group="scripting",
    since="7.0.0",
    summary="A container for function commands",
    help=(
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Create a new library with the given library name and code.",
        "DELETE <LIBRARY NAME>",
        "    Delete the given library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries:",
        "    * Library name",
        "    * The engine used to run the Library",
        "    * Library description",
        "    * Functions list",
        "    * Library code (if WITHCODE is given)",
        "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
        "STATS",
        "    Return information about the current function running:",
        "    * Function name",
        "    * Command used to run the function",
        "    * Duration in MS that the function is running",
        "    If no function is running, return nil",
        "    In addition, returns a list of available engines.",
        "KILL",
        "    Kill the current running function.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all the libraries.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the libraries.",
        "    * SYNC: Synchronously flush the libraries.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE "
        "command",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
        "    control how to handle existing libraries (default APPEND):",
        "    * FLUSH: delete all existing libraries.",
        "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
        "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
        "      libraries with the new libraries (notice that even on this option there is a chance of failure",
        "      in case of functions name collision with another library).",
    ),
)


@command(
    "FUNCTION|LOAD",
    arity=-3,
    flags=WRITE | DENYOOM | NOSCRIPT,
    group="scripting",
    since="7.0.0",
    complexity="O(1) (considering compilation time is redundant)",
    summary="Create a function with the given arguments (name, code, description)",
    syntax="[REPLACE] function-code",
    tips=_ALL_SUCCEEDED,
)
def function_load(call: Call) -> Reply:
    *options, source = call.argv[2:]
    for option in options:
        if option.upper() != b"REPLACE":
            raise Error(b"ERR Unknown option given: %b" % until_nul(option))
    name = call.node.libraries.load(source, replace=bool(options))
    call.keyspace.dirty += 1
    return name


@command(
    "FUNCTION|DELETE",
    arity=3,
    flags=WRITE | NOSCRIPT,
    group="scripting",
    since="7.0.0",
    complexity="O(1)",
    summary="Delete a function by name",
    syntax="library-name",
    tips=_ALL_SUCCEEDED,
)
def function_delete(call: Call) -> Reply:
    if not call.node.libraries.delete(call.argv[2]):
        raise Error(b"ERR Library not found")
    call.keyspace.dirty += 1
    return OK


@command(
    "FUNCTION|FLUSH",
    arity=-2,
    flags=WRITE | NOSCRIPT,
    group="scripting",
    since="7.0.0",
    complexity="O(N) where N is the number of functions deleted",
    summary="Deleting all functions",
    syntax="[ASYNC | SYNC]",
    tips=_ALL_SUCCEEDED,
)
def function_flush(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise wrong_subcommand(argv)
    if len(argv) == 3 and argv[2].upper() not in (b"ASYNC", b"SYNC"):
        raise Error(b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
    call.node.libraries.clear()
    call.keyspace.dirty += 1
    return OK


@command(
    "FUNCTION|LIST",
    arity=-2,
    flags=NOSCRIPT,
    group="scripting",
    since="7.0.0",
    complexity="O(N) where N is the number of functions",
    summary="List information about all the functions",
    syntax="[LIBRARYNAME library-name-pattern] [WITHCODE]",
    tips=("nondeterministic_output_order",),
)
def function_list(call: Call) -> Reply:
    with_code, pattern = False, b"*"
    words = iter(call.argv[2:])
    for word in words:
        option = word.upper()
        if option == b"WITHCODE" and not with_code:
            with_code = True
        elif option == b"LIBRARYNAME" and pattern == b"*":
            value = next(words, None)
            if value is None:
                raise Error(b"ERR library name argument was not given")
            pattern = value
        else:
            raise Error(b"ERR Unknown argument %b" % until_nul(word))
    matches = matcher(pattern.lower())
    return [
        _described(library, with_code=with_code)
        for name, library in call.node.libraries.by_name.items()
        if matches(name.lower())
    ]


def _described(library: Library, *, with_code: bool) -> dict[bytes, Any]:
    entry: dict[bytes, Any] = {
        b"library_name": library.name,
        b"engine": _ENGINE,
        b"functions": [
            {
                b"name": name,
                b"description": function.description,
                b"flags": ReplySet(Simple(word) for word, bit in NAMES.items() if function.script.flags & bit),
            }
            for name, function in library.functions.items()
        ],
    }
    return entry | {b"library_code": library.source} if with_code else entry


@command(
    "FUNCTION|STATS",
    arity=2,
    flags=NOSCRIPT | ALLOW_BUSY,
    group="scripting",
    since="7.0.0",
    complexity="O(1)",
    summary="Return information about the function currently running (name, description, duration)",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
)
def function_stats(call: Call) -> Reply:
    node = call.node
    running = node.scripting.running
    script: dict[bytes, Any] | None = None
    if running is not None:
        took_ms = (node.runtime.clock.perf_ns() - running.started_ns) // 1_000_000
        script = {b"name": running.script.name, b"command": list(running.argv), b"duration_ms": took_ms}
    libraries = node.libraries
    counts = {b"libraries_count": len(libraries.by_name), b"functions_count": libraries.function_count}
    return {b"running_script": script, b"engines": {_ENGINE: counts}}


@command(
    "FUNCTION|KILL",
    arity=2,
    flags=NOSCRIPT | ALLOW_BUSY,
    group="scripting",
    since="7.0.0",
    complexity="O(1)",
    summary="Kill the function currently in execution.",
    tips=("request_policy:all_shards", "response_policy:one_succeeded"),
)
def function_kill(call: Call) -> Reply:
    call.node.scripting.kill(function=True)
    return OK


@command(
    "FUNCTION|DUMP",
    arity=2,
    flags=NOSCRIPT,
    group="scripting",
    since="7.0.0",
    complexity="O(N) where N is the number of functions",
    summary="Dump all functions into a serialized binary payload",
)
def function_dump(call: Call) -> Reply:
    mark = bytes((FUNCTION2,))
    compress = call.node.settings.rdbcompression
    return sealed(b"".join(mark + encode_string(source, compress) for source in call.node.libraries.sources()))


@command(
    "FUNCTION|RESTORE",
    arity=-3,
    flags=WRITE | DENYOOM | NOSCRIPT,
    group="scripting",
    since="7.0.0",
    complexity="O(N) where N is the number of functions on the payload",
    summary="Restore all the functions on the given payload",
    syntax="serialized-value [FLUSH | APPEND | REPLACE]",
    tips=_ALL_SUCCEEDED,
)
def function_restore(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 4:
        raise wrong_subcommand(argv)
    policy = argv[3].upper() if len(argv) == 4 else b"APPEND"
    if policy not in (b"FLUSH", b"APPEND", b"REPLACE"):
        raise Error(b"ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
    sources = _sources_in(argv[2])
    call.node.libraries.restore(sources, replace=policy == b"REPLACE", clear=policy == b"FLUSH")
    call.keyspace.dirty += 1
    return OK


def _sources_in(payload: bytes) -> list[bytes]:
    """The libraries in a dump; raises Error."""
    cursor = Cursor(unsealed(payload))
    sources = []
    try:
        while cursor.position < cursor.end:
            if cursor.byte() != FUNCTION2:
                raise Error(b"ERR given type is not a function")
            sources.append(cursor.string())
    except RdbError:
        raise Error(b"ERR Failed loading functions") from None
    return sources


@command(
    "FUNCTION|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="scripting",
    since="7.0.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def function_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(function_)
