"""EVAL and its relatives, and the cache of scripts. How a script runs is `node.scripting`'s business."""

from __future__ import annotations

from node.call import Call
from node.scripting.debugger import Debugger
from node.scripting.engine import Script
from node.scripting.values import CountedError
from node.session import Debugging
from wire.arguments import parse_integer
from wire.command import (
    ALLOW_BUSY,
    LOADING,
    MAY_REPLICATE,
    NO_MANDATORY_KEYS,
    NOSCRIPT,
    READONLY,
    SKIP_MONITOR,
    STALE,
    KeySpec,
    command,
    container,
)
from wire.commands.help import help_lines
from wire.errors import NOT_AN_INTEGER, Error, until_nul
from wire.reply import OK, Reply

# What EVAL, FCALL and their relatives have in common.
SCRIPT_FLAGS = NOSCRIPT | SKIP_MONITOR | NO_MANDATORY_KEYS | STALE
_COMPLEXITY = "Depends on the script that is executed."
_SYNTAX = "{} numkeys [key [key ...]] [arg [arg ...]]"
_NOTES = "We cannot tell how the keys will be used so we assume the worst, {} and {}"
_ASYNC_POLICY = ("request_policy:all_nodes", "response_policy:all_succeeded")
_NO_SCRIPT = b"NOSCRIPT No matching script. Please use EVAL."
# Of a SHA-1 in hexadecimal digits.
_NAME_LENGTH = 40


def _script_keys(*flags: str, notes: str = "") -> tuple[KeySpec, ...]:
    """The keys of a script, which say nothing of what it does with them."""
    return (KeySpec(2, flags, keynum=0, first=1, notes=notes),)


WRITTEN_KEYS = _script_keys("RW", "access", "update", notes=_NOTES.format("RW", "UPDATE"))
READ_KEYS = _script_keys("RO", "access", notes=_NOTES.format("RO", "ACCESS"))


@command(
    "EVAL",
    arity=-3,
    flags=SCRIPT_FLAGS | MAY_REPLICATE,
    keys=WRITTEN_KEYS,
    group="scripting",
    since="2.6.0",
    complexity=_COMPLEXITY,
    summary="Execute a Lua script server side",
    syntax=_SYNTAX.format("script"),
)
def eval_(call: Call) -> Reply:
    return _eval(call, readonly=False)


@command(
    "EVAL_RO",
    arity=-3,
    flags=SCRIPT_FLAGS | READONLY,
    keys=READ_KEYS,
    group="scripting",
    since="7.0.0",
    complexity=_COMPLEXITY,
    summary="Execute a read-only Lua script server side",
    syntax=_SYNTAX.format("script"),
)
def eval_ro(call: Call) -> Reply:
    return _eval(call, readonly=True)


@command(
    "EVALSHA",
    arity=-3,
    flags=SCRIPT_FLAGS | MAY_REPLICATE,
    keys=_script_keys("RW", "access", "update"),
    group="scripting",
    since="2.6.0",
    complexity=_COMPLEXITY,
    summary="Execute a Lua script server side",
    syntax=_SYNTAX.format("sha1"),
)
def evalsha(call: Call) -> Reply:
    return _evalsha(call, readonly=False)


@command(
    "EVALSHA_RO",
    arity=-3,
    flags=SCRIPT_FLAGS | READONLY,
    keys=_script_keys("RO", "access"),
    group="scripting",
    since="7.0.0",
    complexity=_COMPLEXITY,
    summary="Execute a read-only Lua script server side",
    syntax=_SYNTAX.format("sha1"),
)
def evalsha_ro(call: Call) -> Reply:
    return _evalsha(call, readonly=True)


def _eval(call: Call, *, readonly: bool) -> Reply:
    call.node.monitor.announce(call.session, call.command, call.argv)

    def evaluate(debugger: Debugger | None = None) -> Reply:
        key_count = parse_key_count(call.argv)
        script = call.node.scripts.load(call.argv[1])
        return run_script(call, script, key_count, readonly=readonly, debugger=debugger)

    # Within a transaction nobody could be asked what to do.
    if call.session.debugging is None or not call.may_block:
        return evaluate()
    return call.node.debug_sessions.run(call, call.argv[1], evaluate)


def _evalsha(call: Call, *, readonly: bool) -> Reply:
    call.node.monitor.announce(call.session, call.command, call.argv)
    name = call.argv[1]
    if len(name) != _NAME_LENGTH:
        raise Error(_NO_SCRIPT)
    if call.session.debugging is not None:
        raise Error(b"ERR Please use EVAL instead of EVALSHA for debugging")
    key_count = parse_key_count(call.argv)
    script = call.node.scripts.find(name)
    if script is None:
        raise Error(_NO_SCRIPT)
    return run_script(call, script, key_count, readonly=readonly)


def parse_key_count(argv: list[bytes], not_a_number: bytes = NOT_AN_INTEGER) -> int:
    """How many keys the command says it has; raises Error where it has fewer arguments."""
    count = parse_integer(argv[2], not_a_number)
    if count > len(argv) - 3:
        raise Error(b"ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise Error(b"ERR Number of keys can't be negative")
    return count


def run_script(
    call: Call, script: Script, key_count: int, *, readonly: bool, debugger: Debugger | None = None
) -> Reply:
    """Run it with the keys and arguments of the command."""
    argv = call.argv
    behind_keys = 3 + key_count
    command = call.command
    reply = call.node.scripting.run(
        call, script, argv[3:behind_keys], argv[behind_keys:], readonly=readonly, debugger=debugger
    )
    if isinstance(reply, Error):
        if not isinstance(reply, CountedError):
            raise reply
        command.failed_calls += 1
    return reply


script = container(
    "SCRIPT",
    group="scripting",
    since="2.6.0",
    summary="A container for Lua scripts management commands",
    help=(
        "DEBUG (YES|SYNC|NO)",
        "    Set the debug mode for subsequent scripts executed.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the scripts cache.",
        "    * SYNC: Synchronously flush the scripts cache.",
        "KILL",
        "    Kill the currently executing Lua script.",
        "LOAD <script>",
        "    Load a script into the scripts cache without executing it.",
    ),
)


@command(
    "SCRIPT|LOAD",
    arity=3,
    flags=NOSCRIPT | STALE,
    group="scripting",
    since="2.6.0",
    complexity="O(N) with N being the length in bytes of the script body.",
    summary="Load the specified Lua script into the script cache.",
    syntax="script",
    tips=_ASYNC_POLICY,
)
def script_load(call: Call) -> Reply:
    return call.node.scripts.load(call.argv[2]).name


@command(
    "SCRIPT|EXISTS",
    arity=-3,
    flags=NOSCRIPT,
    group="scripting",
    since="2.6.0",
    complexity="O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
    summary="Check existence of scripts in the script cache.",
    syntax="sha1 [sha1 ...]",
    tips=("request_policy:all_shards", "response_policy:agg_logical_and"),
)
def script_exists(call: Call) -> Reply:
    find = call.node.scripts.find
    return [int(find(name) is not None) for name in call.argv[2:]]


@command(
    "SCRIPT|FLUSH",
    arity=-2,
    flags=NOSCRIPT,
    group="scripting",
    since="2.6.0",
    complexity="O(N) with N being the number of scripts in cache",
    summary="Remove all the scripts from the script cache.",
    syntax="[ASYNC | SYNC]",
    tips=_ASYNC_POLICY,
    history=(("6.2.0", "Added the `ASYNC` and `SYNC` flushing mode modifiers."),),
)
def script_flush(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3 or (len(argv) == 3 and argv[2].upper() not in (b"ASYNC", b"SYNC")):
        raise Error(b"ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    call.node.scripts.clear()
    return OK


@command(
    "SCRIPT|KILL",
    arity=2,
    flags=NOSCRIPT | ALLOW_BUSY,
    group="scripting",
    since="2.6.0",
    complexity="O(1)",
    summary="Kill the script currently in execution.",
    tips=("request_policy:all_shards", "response_policy:one_succeeded"),
)
def script_kill(call: Call) -> Reply:
    call.node.scripting.kill(function=False)
    return OK


@command(
    "SCRIPT|DEBUG",
    arity=3,
    flags=NOSCRIPT,
    group="scripting",
    since="3.2.0",
    complexity="O(1)",
    summary="Set the debug mode for executed scripts.",
    syntax="YES | SYNC | NO",
)
def script_debug(call: Call) -> Reply:
    session = call.session
    # What is said in a session must not be mixed with replies.
    if session.out:
        raise Error(b"ERR SCRIPT DEBUG must be called outside a pipeline")
    mode = until_nul(call.argv[2]).lower().decode("utf-8", "replace")
    if mode not in ("yes", "sync", "no"):
        raise Error(b"ERR Use SCRIPT DEBUG YES/SYNC/NO")
    session.debugging = None if mode == "no" else Debugging(mode)
    return OK


@command(
    "SCRIPT|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="scripting",
    since="5.0.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def script_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(script)
