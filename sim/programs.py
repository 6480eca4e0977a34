"""Our programs as simulated processes start them: from a configuration file on the host's disk to an exit status.

What `main.py` of each program does around its `serve` belongs to a real process (arguments, folders, limits); here is
what takes its place, with the same words in the log. `made` is shown the node or sentinel itself, for those who watch
a run from above.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from node.main import serve as serve_node
from node.node import Node
from node.settings import NodeSettings
from proxy.main import serve as serve_proxy
from proxy.settings import parse_arguments
from runtime import Level
from runtime.settings import CommandLine, MissingFileError, SettingsError, lines_of
from runtime.tls import TlsError
from sentinel.commands import command_table
from sentinel.config import understand
from sentinel.config_file import ConfigFile
from sentinel.main import StartError
from sentinel.main import serve as serve_sentinel
from sentinel.sentinel import Sentinel
from sim.host import Main
from sim.process import Process
from sim.runtime import DiskConfigFiles
from sim.world import World
from wire.listener import BindError


def node_program(world: World, config_path: str, made: Callable[[Node], None]) -> Main:
    """`shardlab server config_path`, in the folder of that file."""

    async def main(process: Process) -> int:
        runtime = world.runtime(process)
        log = runtime.log
        settings = NodeSettings()
        try:
            lines = lines_of(CommandLine(config_path, False, ""), DiskConfigFiles(process.host.disk))
            settings.apply(lines, {})
        except (SettingsError, MissingFileError) as error:
            log.warning(f"Fatal error, {error}")
            return 1
        settings.dir = posixpath.dirname(config_path)
        log.level = Level[settings.loglevel.upper()]
        status = await serve_node(settings, runtime, config_path, made)
        if status == 0:
            log.warning("Redis is now ready to exit, bye bye...")
        return status

    return main


def sentinel_program(world: World, config_path: str, made: Callable[[Sentinel], None]) -> Main:
    """`shardlab sentinel config_path`."""

    async def main(process: Process) -> int:
        runtime = world.runtime(process)
        log = runtime.log
        log.role = "X"
        files = DiskConfigFiles(process.host.disk)
        try:
            configuration = understand(lines_of(CommandLine(config_path, False, ""), files), command_table())
            folder, name = posixpath.split(config_path)
            file = ConfigFile(runtime.files.folder(folder), name, files.read(config_path))
            log.level = Level[configuration.server.loglevel.upper()]
            await serve_sentinel(configuration, file, runtime, made)
        except (SettingsError, MissingFileError, StartError) as error:
            log.warning(str(error))
            return 1
        log.warning("Sentinel is now ready to exit, bye bye...")
        return 0

    return main


def proxy_program(world: World, arguments: list[str]) -> Main:
    """`shardlab proxy arguments`."""

    async def main(process: Process) -> int:
        runtime = world.runtime(process)
        runtime.log.role = "P"
        try:
            await serve_proxy(parse_arguments(arguments), runtime)
        except (BindError, TlsError) as error:
            runtime.log.warning(f"Warning: {error}")
            return 1
        runtime.log.warning("Proxy is now ready to exit, bye bye...")
        return 0

    return main
