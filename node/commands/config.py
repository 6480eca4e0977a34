"""CONFIG: settings of a running node, read, changed and written back to their file."""

from __future__ import annotations

from collections.abc import Collection

from node.call import Call
from node.reconfigure import needs_reopening, reopen, set_directives, shown
from node.settings import NodeSettings
from node.stats import reset_statistics
from runtime.rewrite import rewritten
from runtime.settings import to_bytes, to_text
from wire.command import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from wire.commands.help import help_lines
from wire.errors import SYNTAX, Error
from wire.glob import matches
from wire.reply import OK, Reply
from wire.session import CLOSING

_FLAGS = ADMIN | NOSCRIPT | LOADING | STALE
# Directives that a rewritten file names even at their defaults: without them the next start would mean another folder
# or other save points.
_ALWAYS = ("save", "dir", "latency-tracking-info-percentiles")

config = container(
    "CONFIG",
    group="server",
    since="2.0.0",
    summary="A container for server configuration commands.",
    help=(
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
    ),
)


@command(
    "CONFIG|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def config_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(config)


@command(
    "CONFIG|GET",
    arity=-3,
    flags=_FLAGS,
    group="server",
    since="2.0.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    summary="Returns the effective values of configuration parameters.",
    syntax="parameter [parameter ...]",
    history=(("7.0.0", "Added the ability to pass multiple pattern parameters in one call"),),
)
def config_get(call: Call) -> Reply:
    words = [to_text(word) for word in call.argv[2:]]
    globs = [to_bytes(word.lower()) for word in words if any(sign in word for sign in "*?[")]
    # What is no pattern is a name, answered in the spelling of the question; so are directives that patterns hide.
    found = {word.lower(): word for word in words if _readable(word.lower())}
    for name in NodeSettings.directives():
        if any(matches(glob, to_bytes(name)) for glob in globs):
            found.setdefault(name, name)
    return {to_bytes(shown_as): to_bytes(_shown(call, name)) for name, shown_as in found.items()}


def _readable(name: str) -> bool:
    field = NodeSettings.field(name)
    return field is not None and not (NodeSettings.kind(field).hidden and NodeSettings.kind(field).fixed)


def _shown(call: Call, name: str) -> str:
    field = NodeSettings.field(name)
    assert field is not None
    return shown(call.node, field)


@command(
    "CONFIG|SET",
    arity=-4,
    flags=_FLAGS,
    group="server",
    since="2.0.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    summary="Sets configuration parameters in-flight.",
    syntax="parameter value [parameter value ...]",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    history=(("7.0.0", "Added the ability to set multiple parameters in one call."),),
)
def config_set(call: Call) -> Reply:
    words = [to_text(word) for word in call.argv[2:]]
    if len(words) % 2:
        raise Error(SYNTAX)
    node, session = call.node, call.session
    pairs = list(zip(words[::2], words[1::2], strict=True))
    take_back = set_directives(node, session, pairs)
    if not needs_reopening(node):
        return OK
    waits = call.may_block

    async def finish() -> None:
        refusal = await reopen(node, pairs, take_back)
        if waits and not session.mask & CLOSING:
            session.answer_later(refusal or OK)

    node.tasks.start("open other ports", finish())
    # In a transaction nobody can wait; a failure is in the log then.
    return call.park() if waits else OK


@command(
    "CONFIG|RESETSTAT",
    arity=2,
    flags=_FLAGS,
    group="server",
    since="2.0.0",
    complexity="O(1)",
    summary="Resets the server's statistics.",
)
def config_resetstat(call: Call) -> Reply:
    reset_statistics(call.node)
    return OK


@command(
    "CONFIG|REWRITE",
    arity=2,
    flags=_FLAGS,
    group="server",
    since="2.8.0",
    complexity="O(1)",
    summary="Persists the effective configuration to file.",
)
def config_rewrite(call: Call) -> Reply:
    return rewrite(call, _ALWAYS)


def rewrite(call: Call, always: Collection[str]) -> Reply:
    """Rewrite the file, with the directives in `always` even where they have their defaults."""
    node = call.node
    if not node.config_file:
        raise Error(b"ERR The server is running without a config file")
    path, _, name = node.config_file.rpartition("/")
    settings = node.settings.model_copy(
        update={
            "replicaof": None if node.cluster else node.replication.upstream.master,
            "user": node.accounts.directives(),
        }
    )
    try:
        folder = node.runtime.files.folder(path or "/")
        old = to_text(folder.read(name)) if folder.exists(name) else ""
        folder.replace(name, to_bytes(rewritten(old, settings, always)))
    except OSError as error:
        node.log.warning(f"CONFIG REWRITE failed: {error.strerror}")
        raise Error(b"ERR Rewriting config file: %b" % to_bytes(error.strerror or "")) from None
    node.log.warning("CONFIG REWRITE executed with success.")
    return OK
