"""The language of `proc-title-template`: text with variables in braces."""

from __future__ import annotations

import re
from collections.abc import Mapping

_INVALID = "template format is invalid or contains unknown variables"
# A brace that stands for itself, a variable, or a brace that is left open.
_PART = re.compile(r"\{\{|\{([^}]*)\}|\{")
# What each variable says at least; a template that says no more than that is refused, as Redis does.
_LEAST = {
    "title": "",
    "listen-addr": ":",
    "server-mode": "",
    "port": "0",
    "tls-port": "0",
    "unixsocket": "",
    "config-file": "-",
}


def expand(template: str, values: Mapping[str, str]) -> str:
    """The template with its variables' values; raises ValueError in Redis' words."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "{{":
            return "{"
        if match[1] not in values:
            raise ValueError(_INVALID)
        return values[match[1]]

    return _PART.sub(value, template).strip(" ")


def why_invalid(template: str) -> str | None:
    """The reason why a template will not do; None when it will."""
    try:
        return None if expand(template, _LEAST) else _INVALID
    except ValueError as error:
        return str(error)
