"""MODULE: there are none, and none can be loaded, since Redis' are shared libraries for its own C interface.

Who asks for the list gets an empty one; who tries to load or unload gets what Redis answers when that fails.
"""

from __future__ import annotations

from node.call import Call
from node.protection import check_command
from wire.command import ADMIN, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE, command, container
from wire.commands.help import help_lines
from wire.errors import Error
from wire.reply import Reply

module = container(
    "MODULE",
    group="server",
    since="4.0.0",
    summary="A container for the commands about modules.",
    help=(
        "LIST",
        "    Return a list of loaded modules.",
        "LOAD <path> [<arg> ...]",
        "    Load a module library from <path>, passing to it any optional arguments.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Load a module library from <path>, while passing it module configurations and optional arguments.",
        "UNLOAD <name>",
        "    Unload a module.",
    ),
)


@command(
    "MODULE|HELP",
    arity=2,
    flags=LOADING | STALE,
    group="server",
    since="5.0.0",
    complexity="O(1)",
    summary="Show helpful text about the different subcommands",
)
def module_help(call: Call) -> Reply:  # noqa: ARG001 - the same for everybody
    return help_lines(module)


@command(
    "MODULE|LIST",
    arity=2,
    flags=ADMIN | NOSCRIPT,
    group="server",
    since="4.0.0",
    complexity="O(N) where N is the number of loaded modules.",
    summary="Returns all loaded modules.",
    tips=("nondeterministic_output_order",),
)
def module_list(call: Call) -> Reply:  # noqa: ARG001 - nobody has any
    return []


@command(
    "MODULE|LOAD",
    arity=-3,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
    group="server",
    since="4.0.0",
    complexity="O(1)",
    summary="Loads a module.",
    syntax="path [arg ...]",
)
def module_load(call: Call) -> Reply:
    raise _not_loaded(call)


@command(
    "MODULE|LOADEX",
    arity=-3,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
    group="server",
    since="7.0.0",
    complexity="O(1)",
    summary="Loads a module, with a configuration of its own.",
    syntax="path [CONFIG name value [CONFIG name value ...]] [ARGS arg [arg ...]]",
)
def module_loadex(call: Call) -> Reply:
    raise _not_loaded(call)


@command(
    "MODULE|UNLOAD",
    arity=3,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
    group="server",
    since="4.0.0",
    complexity="O(1)",
    summary="Unloads a module.",
    syntax="name",
)
def module_unload(call: Call) -> Reply:
    _check(call)
    raise Error(b"ERR Error unloading module: no such module with that name")


def _check(call: Call) -> None:
    check_command(b"MODULE", call.node.settings.enable_module_command, call.session)


def _not_loaded(call: Call) -> Error:
    _check(call)
    path = call.argv[2].decode(errors="replace")
    call.node.log.warning(f"Module {path} failed to load: Shardlab loads no modules.")
    return Error(b"ERR Error loading the extension. Please check the server logs.")
