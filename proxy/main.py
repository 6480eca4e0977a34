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

_USAGE = """\
Usage: shardlab proxy --nodes host:port[,host:port ...] [--option value ...]

  --nodes             any nodes of the cluster; the others are found through them
  --port, --bind      where clients connect (7200; 127.0.0.1 -::1)
  --requirepass       what clients must AUTH with; without it their AUTH is passed on to the nodes
  --user, --password  what the proxy itself says to the nodes, for clients who bring no credentials
  --connections       connections to each node, shared by all clients of one protocol (1)
  --maxclients        clients at a time (10000)
  --hold-timeout-ms   how long a request that nobody can serve is held (5000)
  --node-timeout-ms   how long a node may owe a reply before its connection is given up (5000)
  --tcp-keepalive, --loglevel, --logfile   as in redis.conf (300, notice, the screen)
  --tls-port          where clients are served with TLS; then also --tls-cert-file, --tls-key-file, --tls-ca-cert-file
                      and the other tls- directives of redis.conf; --tls-cluster yes speaks it to the nodes

Example:
  shardlab proxy --nodes 127.0.0.1:7000,127.0.0.1:7001 --port 7200
"""
# Beside clients: links, the log, epoll.
_FILES_BESIDE_CLIENTS = 256


def main(argv: list[str]) -> int:
    """Run a proxy until it is told to stop; returns the exit status."""
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(_USAGE)
        return 0
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
