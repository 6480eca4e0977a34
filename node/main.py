"""The program `shardlab server`: redis-server's command line, from arguments to an exit status.

Reads the settings, becomes the process that they ask for (folder, log, background, limits), runs one node until it is
told to end, and cleans up. What a user did wrong is told in Redis' words and ends with status 1; what we did wrong is
logged with its traceback and ends with status 1, too, because a node that cannot trust itself must not go on serving.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from cluster.bus import BusPortError
from cluster.nodes_conf import NodesConfError
from node.clustering import KeysInOtherDatabasesError
from node.crash import report_crash
from node.node import Node
from node.persistence.aof.errors import AofError
from node.persistence.rdb_errors import RdbError
from node.settings import INERT, NodeSettings
from runtime import Level, Log, Runtime, process
from runtime.compiled import outdated_modules
from runtime.log import file_writer
from runtime.runtime import system_runtime
from runtime.settings import CommandLine, MissingFileError, SettingsError, SystemConfigFiles, lines_of
from runtime.tls import TlsError
from wire.acl.acl_file import AccountsError
from wire.acl.declared import check_last
from wire.front import REDIS_VERSION
from wire.introduction import introduce
from wire.listener import BindError

_USAGE = """\
Usage: shardlab server [/path/to/redis.conf] [options] [-]
       shardlab server - (read config from stdin)
       shardlab server -v or --version
       shardlab server -h or --help

Examples:
       shardlab server (run the server with default conf)
       echo 'maxmemory 128mb' | shardlab server -
       shardlab server /etc/redis/6379.conf
       shardlab server --port 7777
       shardlab server --port 7777 --replicaof 127.0.0.1 8888
       shardlab server /etc/myredis.conf --loglevel verbose -
       shardlab server /etc/myredis.conf --loglevel verbose

Sentinel mode:
       shardlab server /etc/sentinel.conf --sentinel
"""


def main(argv: list[str]) -> int:
    """Run the server that `argv` (without the program's name) asks for; returns the exit status."""
    status = introduce(argv, _USAGE)
    if status is not None:
        return status
    first = argv[0] if argv else ""
    if first in ("--test-memory", "--check-system"):
        sys.stderr.write(f"{first} looks at the machine and not at the server: use redis-server's.\n")
        return 1
    if "--sentinel" in argv:
        sys.stderr.write("A sentinel is a program of its own: shardlab sentinel [FILE] [options]\n")
        return 1
    settings = NodeSettings()
    try:
        command_line = CommandLine.parse(argv)
        config_file = process.absolute(command_line.file) if command_line.file else ""
        given = settings.apply(lines_of(command_line, SystemConfigFiles()), _EFFECTS)
        settings.dir = process.current_folder()
        _check_together(settings)
        write_log = file_writer(settings.logfile) if settings.logfile else None
    except SettingsError as error:
        return _fatal(str(error))
    except OSError as error:
        return _fatal(f"Can't open the log file: {error.strerror}")
    except MissingFileError as error:
        system_runtime().log.warning(f"Fatal error, {error}")
        return 1
    if settings.daemonize:
        process.go_to_background()
    runtime = system_runtime()
    if write_log is not None:
        runtime.log.redirect(write_log)
    runtime.log.level = Level[settings.loglevel.upper()]
    _greet(settings, runtime, config_file, given)
    return _run(settings, runtime, config_file)


def _check_command(entries: list[tuple[str, ...]]) -> None:
    """`rename-command`: the old name must exist, the new one must not."""
    from node import commands
    from node.gates import gates_of
    from wire.table import CommandTable

    table = CommandTable(commands.MODULES, gates_of)
    for old, new in entries:
        table.rename(old, new)


# What happens at once when a directive is read, and may refuse it.
_EFFECTS: dict[str, Callable[[Any], None]] = {
    # Relative names in later directives are meant from there.
    "dir": process.change_folder,
    "rename-command": _check_command,
    "user": check_last,
}


def _check_together(settings: NodeSettings) -> None:
    """Directives that are right by themselves and wrong together; raises SettingsError."""
    if settings.cluster_enabled and settings.replicaof is not None:
        raise SettingsError("replicaof directive not allowed in cluster mode")


def _fatal(text: str) -> int:
    sys.stderr.write(f"\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n{text}\n")
    return 1


def _greet(settings: NodeSettings, runtime: Runtime, config_file: str, given: list[str]) -> None:
    log = runtime.log
    log.warning("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
    log.warning(f"Redis version={REDIS_VERSION}, bits=64, commit=00000000, modified=0, pid={runtime.pid}, just started")
    if config_file or given:
        log.warning("Configuration loaded")
    else:
        log.warning(
            "Warning: no config file specified, using the default config. In order to specify a config file use "
            "shardlab server /path/to/redis.conf"
        )
    for name in given:
        field = settings.field(name)
        if name in INERT and field and getattr(settings, field) != NodeSettings.model_fields[field].default:
            log.warning(f"Warning: '{name}' is read and kept, but has no effect in Shardlab.")
    for module in outdated_modules():
        log.warning(f"Warning: {module} was changed after it had been compiled; scripts/build-fast compiles it again.")
    log.role = "M"
    if settings.always_show_logo:
        # It says all that, once the ports are open (`node.logo`).
        return
    mode = "cluster" if settings.cluster_enabled else "standalone"
    log.notice(f"Running mode={mode}, port={settings.port or settings.tls_port}.")


def _run(settings: NodeSettings, runtime: Runtime, config_file: str) -> int:
    refusal = _cannot_serve(settings, runtime.log)
    if refusal:
        return 1
    _reserve_files(settings, runtime)
    process.ignore_hangups()
    try:
        if settings.pidfile or settings.daemonize:
            process.write_pid_file(settings.pidfile or "/var/run/redis.pid")
    except OSError as error:
        runtime.log.warning(f"Failed to write PID file: {error.strerror}")
    with asyncio.Runner(loop_factory=process.make_loop) as runner:
        status = runner.run(serve(settings, runtime, config_file, _keep_to_myself))
    if settings.pidfile or settings.daemonize:
        if status == 0:
            # Otherwise the last line says what went wrong.
            runtime.log.notice("Removing the pid file.")
        process.remove_pid_file(settings.pidfile or "/var/run/redis.pid")
    if status == 0:
        runtime.log.warning("Redis is now ready to exit, bye bye...")
    return status


def _cannot_serve(settings: NodeSettings, log: Log) -> bool:
    """Settings that would leave the server less guarded, or less reachable, than its owner believes."""
    if settings.loadmodule:
        log.warning(f"Can't load module from {settings.loadmodule[0][0]}: server aborting")
    elif not settings.unixsocket and not (settings.bind and (settings.port or settings.tls_port)):
        log.warning("Configured to not listen anywhere, exiting.")
    else:
        return False
    return True


def _reserve_files(settings: NodeSettings, runtime: Runtime) -> None:
    """See that `maxclients` clients can be served, or serve fewer."""
    wanted = settings.maxclients + process.RESERVED_FILES
    allowed = runtime.process.allow_files(wanted)
    log = runtime.log
    if allowed >= wanted:
        return
    settings.maxclients = max(allowed - process.RESERVED_FILES, 1)
    log.warning(
        f"You requested maxclients of {wanted - process.RESERVED_FILES} requiring at least {wanted} max file "
        f"descriptors."
    )
    log.warning(f"Server can't set maximum open files to {wanted} because of OS error: Operation not permitted.")
    log.warning(
        f"Current maximum open files is {allowed}. maxclients has been reduced to {settings.maxclients} to compensate "
        f"for low ulimit. If you need higher maxclients increase 'ulimit -n'."
    )


async def serve(settings: NodeSettings, runtime: Runtime, config_file: str, made: Callable[[Node], None]) -> int:
    """Run one node until it ends; returns its exit status. `made` is shown the node before it opens its ports."""
    loop = asyncio.get_running_loop()
    log = runtime.log
    loop.set_exception_handler(lambda _, context: _unexpected(runtime, context))
    try:
        node = Node(settings, runtime, config_file)
        made(node)
        node.loader.loaded = runtime.process.settle
        runtime.process.settle()
        process.on_signals(loop, {name: partial(node.shutdown.signalled, name) for name in ("SIGTERM", "SIGINT")})
        if settings.crash_log_enabled:
            process.on_signals(loop, {"SIGABRT": partial(_aborted, runtime)})
        await node.start()
    except TlsError:
        log.warning("Failed to configure TLS. Check logs for more info.")
        return 1
    except BindError as error:
        log.warning(f"Warning: {error}" if error.port else str(error))
        if error.port:
            kind = "TLS" if error.port == settings.tls_port else "TCP"
            log.warning(f"Failed listening on port {error.port} ({kind}), aborting.")
        return 1
    except (NodesConfError, BusPortError, KeysInOtherDatabasesError) as error:
        log.warning(str(error))
        return 1
    except AccountsError as error:
        log.warning(str(error))
        return 1
    except (RdbError, AofError, OSError):
        # Whoever loads the data has said what is wrong with it.
        return 1
    log.notice("Ready to accept connections")
    if settings.unixsocket:
        log.notice(f"The server is now ready to accept connections at {settings.unixsocket}")
    runtime.process.settle()
    status = await node.ending
    await node.stop()
    return status


def _aborted(runtime: Runtime) -> None:
    """Somebody wants to see us crash."""
    runtime.log.warning(f"Shardlab (Redis {REDIS_VERSION}) crashed by signal: 6 (SIGABRT)")
    runtime.process.die("SIGABRT")


def _keep_to_myself(_: Node) -> None:
    """In a process of its own a node is nobody else's business."""


def _unexpected(runtime: Runtime, context: dict[str, Any]) -> None:
    """The loop caught what nobody else did. The network's own troubles are noted; a mistake of ours is the end."""
    failure = context.get("exception")
    if failure is None or isinstance(failure, OSError):
        runtime.log.warning(f"{context.get('message', 'Event loop')}: {failure}")
        return
    report_crash(runtime.log, context.get("message", "Unexpected exception"), failure)
    runtime.process.exit(1)
