"""What ``shardlab proxy`` runs: arguments, log, signals, exit status."""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from functools import partial
from typing import Any

from proxy.proxy import Proxy
from proxy.settings import ProxySettings, UsageError, parse_arguments
from runtime import Level, Runtime, process
from runtime.log import file_writer
from runtime.runtime import system_runtime
from runtime.tls import TlsError
from wire.listener import BindError

# Beside clients: links, the log, epoll.
_FILES_BESIDE_CLIENTS = 256


def main(argv: list[str]) -> int:
    """Run a proxy until it is told to stop; returns the exit status."""
    try:
        settings = parse_arguments(argv)
        runtime = system_runtime()
        if settings.logfile:
            runtime.log.redirect(file_writer(settings.logfile))
    except UsageError as error:
        sys.stderr.write(f"shardlab proxy: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"shardlab proxy: --logfile {settings.logfile!r}: {error.strerror}\n")
        return 2
    log = runtime.log
    log.role = "P"
    log.level = Level[settings.loglevel.upper()]
    process.ignore_hangups()
    runtime.process.allow_files(settings.maxclients + _FILES_BESIDE_CLIENTS)
    try:
        with asyncio.Runner(loop_factory=process.make_loop) as runner:
            runner.run(serve(settings, runtime))
    except TlsError as error:
        log.warning(str(error))
        log.warning("Failed to configure TLS. Check logs for more info.")
        return 1
    except BindError as error:
        log.warning(f"Warning: {error}")
        return 1
    log.warning("Proxy is now ready to exit, bye bye...")
    return 0


async def serve(settings: ProxySettings, runtime: Runtime) -> None:
    """Start, serve until a signal, stop; raises BindError and TlsError."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def signalled(name: str) -> None:
        runtime.log.warning(f"Received {name} scheduling shutdown...")
        stopping.set()

    loop.set_exception_handler(lambda _, context: _unexpected(runtime, context))
    process.on_signals(loop, {name: partial(signalled, name) for name in ("SIGTERM", "SIGINT")})
    proxy = Proxy(settings, runtime)
    nodes = ", ".join(map(str, settings.nodes))
    runtime.log.notice(
        f"Proxy for the cluster of {nodes}, port={settings.port or settings.tls_port}, pid={runtime.pid}"
    )
    await proxy.start()
    # What lives now lives until the end: no collection needs to look at it again.
    gc.freeze()
    await stopping.wait()
    await proxy.stop()


def _unexpected(runtime: Runtime, context: dict[str, Any]) -> None:
    """The loop caught what nobody else did. The network's own troubles are noted; a mistake of ours is the end, because
    a proxy that has lost count would give clients each other's replies."""
    failure = context.get("exception")
    message = context.get("message", "Event loop")
    if failure is None or isinstance(failure, OSError):
        runtime.log.warning(f"{message}: {failure}")
        return
    runtime.log.warning(f"{message}, stopping:")
    for line in traceback.format_exception(failure):
        runtime.log.warning(line.rstrip("\n"))
    runtime.process.exit(1)
