"""The console script `shardlab`.

`server`, `sentinel` and `proxy` become that program in this very process: what follows the word is theirs, and
nothing of lab's is imported, because ten of them start at once. The other commands handle whole labs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lab import programs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 could not be done, 2 not understood."""
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in programs.NAMES:
        return programs.run(words)
    if words and words[0] == "check":
        from lab.check.main import main as check

        return check(words[1:])
    if words and words[0] == "sim":
        from lab.simulate import main as simulate

        return simulate(words[1:])
    if words and words[0] == "chaos":
        from lab.chaos.main import main as chaos

        return chaos(words[1:])
    return _lab_command(words)


def _lab_command(words: list[str]) -> int:
    parser, commands = _parsers()
    options, unknown = parser.parse_known_args(words)
    if unknown:
        # Said with the usage of the command, where the right words can be looked up.
        commands[options.command].error(f"unrecognized arguments: {' '.join(unknown)}")

    from lab.errors import LabError

    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except LabError as error:
        sys.stderr.write(f"shardlab: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        return 1


def _up(options: argparse.Namespace) -> int:
    import asyncio

    from pydantic import ValidationError

    from lab.topology import Topology
    from lab.up import up

    asked = {name: getattr(options, name) for name in Topology.model_fields if getattr(options, name) is not None}
    if options.failover == "cluster":
        asked.setdefault("sentinels", 0)
    try:
        topology = Topology(**asked)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{'-'.join(map(str, first['loc'])).replace('_', '-')}: " if first["loc"] else ""
        sys.stderr.write(f"shardlab up: {option}{first['msg'].removeprefix('Value error, ')}\n")
        return 2
    return asyncio.run(
        up(
            topology,
            options.dir,
            fresh=options.fresh,
            detach=options.detach,
            timeout=options.timeout,
            say=_say,
        )
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _status(options: argparse.Namespace) -> int:
    from lab import actions

    actions.status(options.dir)
    return 0


def _down(options: argparse.Namespace) -> int:
    from lab import actions

    _say(actions.down(options.dir))
    return 0


def _restart(options: argparse.Namespace) -> int:
    from lab import actions

    _say(actions.restart(options.dir, options.name, timeout=options.timeout))
    return 0


def _signal(options: argparse.Namespace) -> int:
    from lab import actions

    act: Callable[[Path, str], str] = {"kill": actions.kill, "pause": actions.pause, "resume": actions.resume}[
        options.command
    ]
    _say(act(options.dir, options.name))
    return 0


def _parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The whole command line, and each command's part of it."""
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="shardlab", description="A Redis-compatible cluster that you can break.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in (
        ("server", "a data node, with redis-server's command line: [FILE] [--directive value ...] [--sentinel]"),
        ("sentinel", "a sentinel: FILE [--directive value ...]"),
        ("proxy", "the whole cluster as one Redis: --nodes host:port,..."),
        ("check", "judge a run by the history of its clients: FILE"),
        ("chaos", "scenarios, in the simulator, on real processes, or both side by side: run, list"),
        ("sim", "the whole cluster in one process, in virtual time: run, swarm, replay, shrink, rules"),
    ):
        # Handled in `main`, before this parser is made; here so that --help lists them.
        commands.add_parser(name, help=help_text, add_help=False)

    def command(name: str, run: Callable[[argparse.Namespace], int], help_text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        added.add_argument("--dir", type=Path, default=Path(".shardlab"), help="the lab's folder (default: .shardlab)")
        added.set_defaults(run=run)
        return added

    up = command("up", _up, "start a cluster and say when it is ready; in the foreground, Ctrl-C stops all of it")
    up.add_argument("--detach", action="store_true", help="leave it running in the background")
    up.add_argument("--fresh", action="store_true", help="throw away the data of the lab that was in the folder before")
    up.add_argument("--masters", type=int, metavar="N", help="masters, 3 unless told otherwise")
    up.add_argument("--replicas", type=int, metavar="N", help="replicas of each master (1)")
    up.add_argument("--sentinels", type=int, metavar="N", help="sentinels (3; none with --failover cluster)")
    up.add_argument("--proxy", action=argparse.BooleanOptionalAction, default=None, help="a proxy in front (yes)")
    up.add_argument("--failover", choices=("sentinel", "cluster"), help="who replaces a dead master (sentinel)")
    up.add_argument("--engine", choices=("shardlab", "redis"), help="whose nodes: ours or redis-server's (shardlab)")
    up.add_argument("--host", metavar="ADDRESS", help="the address of this machine to listen on (127.0.0.1)")
    up.add_argument(
        "--port-base", type=int, metavar="PORT", help="nodes from here, sentinels at +100, proxy at +200 (7000)"
    )
    up.add_argument(
        "--down-after-milliseconds",
        dest="down_after_ms",
        type=int,
        metavar="MS",
        help="silence after which a master is held for dead (500)",
    )
    up.add_argument(
        "--tls", action="store_true", default=None, help="TLS on every port, with throw-away certificates (no)"
    )
    up.add_argument(
        "--directive",
        dest="directives",
        action="append",
        metavar="'NAME VALUE'",
        help="one more line for every node's redis.conf; may be repeated",
    )
    up.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="give up when not ready by then (30)"
    )

    command("status", _status, "show every process, as it is now")
    for name, help_text in (
        ("kill", "kill a process (SIGKILL)"),
        ("pause", "freeze a process (SIGSTOP)"),
        ("resume", "let a frozen process go on (SIGCONT)"),
    ):
        command(name, _signal, help_text).add_argument(
            "name", metavar="NAME", help="as in status: node-0, sentinel-1, proxy"
        )
    again = command("restart", _restart, "start a process again, whether it runs or not")
    again.add_argument("name", metavar="NAME", help="as in status")
    again.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="give up when it does not answer by then (30)"
    )
    command("down", _down, "stop every process; the files stay")
    return parser, commands.choices
