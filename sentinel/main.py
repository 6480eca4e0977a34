"""What ``shardlab sentinel FILE`` and ``shardlab server FILE --sentinel`` run: arguments, configuration, signals.

Every refusal to start is in Redis' own words, and ends with status 1.
"""

from __future__ import annotations

import asyncio
import posixpath
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from runtime import Level, Runtime, process
from runtime.log import file_writer
from runtime.runtime import system_runtime
from runtime.settings import CommandLine, MissingFileError, SettingsError, SystemConfigFiles, lines_of
from runtime.tls import TlsError
from sentinel.commands import command_table
from sentinel.config import Configuration, ServerOptions, understand
from sentinel.config_file import ConfigFile
from sentinel.sentinel import Sentinel
from wire.acl.acl_file import AccountsError
from wire.front import REDIS_VERSION
from wire.introduction import introduce
from wire.listener import BindError

_USAGE = """\
Usage: shardlab sentinel FILE [--directive value ...]
       shardlab sentinel -v or --version
       shardlab sentinel -h or --help

FILE is a sentinel.conf, which the sentinel also writes: it keeps there what it has voted and whom it has met.

Example:
       echo 'sentinel monitor mymaster 127.0.0.1 6379 2' > sentinel.conf
       shardlab sentinel sentinel.conf --port 26379
"""


class StartError(Exception):
    """Why the sentinel cannot run, as a line of the log."""


def main(argv: list[str]) -> int:
    """Run a sentinel until it is told to stop; returns the exit status."""
    status = introduce(argv, _USAGE)
    if status is not None:
        return status
    runtime = system_runtime()
    log = runtime.log
    log.role = "X"
    try:
        configuration, file = load(CommandLine.parse([word for word in argv if word != "--sentinel"]), runtime)
        _settle(configuration.server, runtime)
        log.warning("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
        log.warning(
            f"Redis version={REDIS_VERSION}, bits=64, commit=00000000, modified=0, pid={runtime.pid}, just started"
        )
        log.warning("Configuration loaded")
        process.ignore_hangups()
        with asyncio.Runner(loop_factory=process.make_loop) as runner:
            runner.run(serve(configuration, file, runtime, _keep_to_myself))
    except SettingsError as error:
        sys.stderr.write(f"\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n{error}\n")
        return 1
    except StartError as error:
        log.warning(str(error))
        return 1
    log.warning("Sentinel is now ready to exit, bye bye...")
    return 0


def load(command_line: CommandLine, runtime: Runtime) -> tuple[Configuration, ConfigFile]:
    """Read the configuration; raises SettingsError and StartError."""
    if not command_line.file or command_line.from_stdin:
        raise StartError("Sentinel needs config file on disk to save state. Exiting...")
    path = process.absolute(command_line.file)
    files = SystemConfigFiles()
    try:
        configuration = understand(lines_of(command_line, files), command_table())
        folder = runtime.files.folder(posixpath.dirname(path))
        return configuration, ConfigFile(folder, posixpath.basename(path), files.read(path))
    except MissingFileError as error:
        raise StartError(f"Fatal error, {error}") from None


def _settle(options: ServerOptions, runtime: Runtime) -> None:
    """Go to `dir`, and send the log where `logfile` and `loglevel` say."""
    try:
        process.change_folder(options.dir)
    except ValueError as error:
        raise SettingsError(f"Can't chdir to '{options.dir}': {error}") from None
    try:
        if options.logfile:
            runtime.log.redirect(file_writer(options.logfile))
    except OSError as error:
        raise SettingsError(f"Can't open the log file: {error.strerror}") from None
    runtime.log.level = Level[options.loglevel.upper()]


async def serve(
    configuration: Configuration, file: ConfigFile, runtime: Runtime, made: Callable[[Sentinel], None]
) -> None:
    """Start, serve until the end is asked for, stop; raises StartError. `made` is shown the sentinel first."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: _unexpected(runtime, context))
    sentinel = Sentinel(configuration, file, runtime)
    made(sentinel)

    def signalled(name: str) -> None:
        runtime.log.warning(f"Received {name} scheduling shutdown...")
        sentinel.ask_to_stop()

    process.on_signals(loop, {name: partial(signalled, name) for name in ("SIGTERM", "SIGINT")})
    try:
        await sentinel.start()
    except AccountsError as error:
        raise StartError(str(error)) from None
    except TlsError as error:
        runtime.log.warning(str(error))
        raise StartError("Failed to configure TLS. Check logs for more info.") from None
    except BindError as error:
        raise StartError(f"Warning: {error}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(f"Sentinel config file {file.path} is not writable: {reason}. Exiting...") from None
    await sentinel.wait_stopped()
    await sentinel.stop()


def _keep_to_myself(_: Sentinel) -> None:
    """In a process of its own a sentinel is nobody else's business."""


def _unexpected(runtime: Runtime, context: dict[str, Any]) -> None:
    """The loop caught what nobody else did. The network's own troubles are noted; a mistake of ours is the end: a
    sentinel that cannot trust itself must neither vote nor promote."""
    failure = context.get("exception")
    message = context.get("message", "Event loop")
    if failure is None or isinstance(failure, OSError):
        runtime.log.warning(f"{message}: {failure}")
        return
    runtime.log.warning(f"{message}, stopping:")
    for line in traceback.format_exception(failure):
        runtime.log.warning(line.rstrip("\n"))
    runtime.process.exit(1)
