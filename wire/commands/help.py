"""The HELP subcommand of a container, in Redis' form: one simple string a line."""

from __future__ import annotations

from wire.command import CommandSpec
from wire.reply import Reply, Simple


def help_lines(container: CommandSpec) -> Reply:
    """What ``<container> HELP`` answers: `CommandSpec.help` between Redis' first and last lines."""
    first = f"{container.name.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    return [Simple(line.encode()) for line in (first, *container.help, "HELP", "    Prints this help.")]
