"""The kinds of directives that only a node has: save points, buffer limits, event classes, addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.endpoints import CLIENT_NETWORKS_MAX, ClientNetwork, EndpointError
from node.notifications import format_flags, parse_flags
from node.output_limits import OutputLimit
from runtime.directives import Choices, Kind, Several, Text, format_size, parse_size
from runtime.quoting import joined
from runtime.settings import to_bytes, to_text
from wire.errors import Error

_HOST_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")
_NAME_LETTERS = _HOST_LETTERS | {"_"}
_HOST_LENGTH_MAX = 256
BUFFER_CLASSES = ("normal", "replica", "pubsub")
_SOFT_SECONDS_MAX = 2**63 - 1


class SavePoints(Kind):
    """`save`: seconds and changes, in pairs; the first line of a file replaces the defaults, later ones add."""

    many = True

    def parse(self, words: Sequence[str]) -> list[tuple[int, int]]:
        if list(words) in ([""], []):
            return []
        numbers = [_natural(word) for word in words]
        if len(numbers) % 2 or None in numbers:
            raise ValueError("Invalid save parameters")
        return self.check(list(zip(numbers[::2], numbers[1::2], strict=True)))

    def check(self, value: Any) -> list[tuple[int, int]]:
        points = [(int(seconds), int(changes)) for seconds, changes in value]
        if any(seconds < 1 or changes < 0 for seconds, changes in points):
            raise ValueError("Invalid save parameters")
        return points

    def merge(self, old: Any, new: Any, *, first: bool) -> Any:
        return new if first or not new else old + new

    def show(self, value: list[tuple[int, int]]) -> str:
        return " ".join(f"{seconds} {changes}" for seconds, changes in value)

    def rewrite(self, value: list[tuple[int, int]]) -> list[str]:
        return [f"{seconds} {changes}" for seconds, changes in value] or ['""']


class BufferLimits(Kind):
    """`client-output-buffer-limit`: class, hard limit, soft limit and its seconds, in fours."""

    many = True

    def parse(self, words: Sequence[str]) -> dict[str, OutputLimit]:
        if len(words) % 4:
            raise ValueError("Wrong number of arguments in buffer limit configuration.")
        limits = {}
        for at in range(0, len(words), 4):
            name = {"slave": "replica"}.get(words[at].lower(), words[at].lower())
            if name not in BUFFER_CLASSES:
                raise ValueError("Invalid client class specified in buffer limit configuration.")
            hard, soft, seconds = parse_size(words[at + 1]), parse_size(words[at + 2]), _natural(words[at + 3])
            if hard is None or soft is None or seconds is None or seconds > _SOFT_SECONDS_MAX:
                raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            limits[name] = OutputLimit(hard, soft, seconds)
        return limits

    def check(self, value: Any) -> dict[str, OutputLimit]:
        if sorted(value) != sorted(BUFFER_CLASSES):
            raise ValueError("Invalid client class specified in buffer limit configuration.")
        return {name: value[name] for name in BUFFER_CLASSES}

    def merge(self, old: Any, new: Any, *, first: bool) -> Any:  # noqa: ARG002 - the classes not named stay
        return {**old, **new}

    def show(self, value: dict[str, OutputLimit]) -> str:
        # The old word for a replica, as Redis 7 shows it here and only here.
        return " ".join(
            f"{'slave' if name == 'replica' else name} {limit.hard} {limit.soft} {limit.soft_s}"
            for name, limit in value.items()
        )

    def rewrite(self, value: dict[str, OutputLimit]) -> list[str]:
        return [
            f"{name} {format_size(limit.hard)} {format_size(limit.soft)} {limit.soft_s}"
            for name, limit in value.items()
        ]


class EventClasses(Kind):
    """`notify-keyspace-events`: letters, kept as the flags of `node.notifications`."""

    def value(self, word: str) -> int:
        try:
            return parse_flags(word)
        except Error as error:
            raise ValueError(error.text.decode()) from None

    def check(self, value: Any) -> int:
        return int(value)

    def show(self, value: int) -> str:
        return format_flags(value)

    def rewrite(self, value: int) -> list[str]:
        return [f'"{format_flags(value)}"']


class Addresses(Several):
    """`bind`: addresses to listen on; one empty word means none at all."""

    _MAX = 16

    def parse(self, words: Sequence[str]) -> list[str]:
        if len(words) > self._MAX:
            raise ValueError("Too many bind addresses specified.")
        return [] if list(words) == [""] else list(words)

    def rewrite(self, value: list[str]) -> list[str]:
        return [self.show(value) or '""']


class MasterAddress(Kind):
    """`replicaof`: host and port, or ``no one``."""

    many = True

    def parse(self, words: Sequence[str]) -> tuple[str, int] | None:
        if len(words) != 2:
            raise ValueError("wrong number of arguments")
        if [word.lower() for word in words] == ["no", "one"]:
            return None
        port = _natural(words[1])
        if port is None or port > 65535:
            raise ValueError("Invalid master port")
        return words[0], port

    def check(self, value: Any) -> tuple[str, int] | None:
        return None if value is None else (str(value[0]), int(value[1]))

    def show(self, value: tuple[str, int] | None) -> str:
        return "" if value is None else f"{value[0]} {value[1]}"

    def rewrite(self, value: tuple[str, int] | None) -> list[str]:
        return [] if value is None else [self.show(value)]


class Percentiles(Kind):
    """`latency-tracking-info-percentiles`."""

    many = True

    def parse(self, words: Sequence[str]) -> list[float]:
        return [] if list(words) == [""] else [self._share(word) for word in words]

    def _share(self, word: str) -> float:
        try:
            share = float(word)
        except ValueError:
            raise ValueError("Invalid latency-tracking-info-percentiles parameters") from None
        return self.check([share])[0]

    def check(self, value: Any) -> list[float]:
        if any(not 0.0 <= share <= 100.0 for share in value):
            raise ValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        return list(value)

    def show(self, value: list[float]) -> str:
        return " ".join(f"{share:.15g}" for share in value)

    def rewrite(self, value: list[float]) -> list[str]:
        return [self.show(value) or '""']


class OomScores(Several):
    """`oom-score-adj-values`: three numbers."""

    def parse(self, words: Sequence[str]) -> list[str]:
        if len(words) != 3:
            raise ValueError("wrong number of arguments")
        for word in words:
            digits = word.removeprefix("-")
            if not (digits.isascii() and digits.isdigit()) or not -2000 <= int(word) <= 2000:
                raise ValueError("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
        return list(words)


class ShutdownOptions(Choices):
    """`shutdown-on-sigterm` and `-sigint`."""

    def __init__(self) -> None:
        super().__init__("default", "save", "nosave", "now", "force")

    def parse(self, words: Sequence[str]) -> tuple[str, ...]:
        chosen = super().parse(words)
        if "save" in chosen and "nosave" in chosen:
            raise ValueError("shutdown options SAVE and NOSAVE can't be used simultaneously")
        return tuple(option for option in chosen if option != "default") or ("default",)


class ClientNetworks(Kind):
    """`cluster-announce-client-network` (ours): network, host and port, one rule a line."""

    many = True

    def parse(self, words: Sequence[str]) -> tuple[ClientNetwork, ...]:
        if list(words) == [""]:
            return ()
        if len(words) % 3:
            raise ValueError("wrong number of arguments")
        try:
            return tuple(ClientNetwork.of(*words[at : at + 3]) for at in range(0, len(words), 3))
        except EndpointError as error:
            raise ValueError(str(error)) from None

    def check(self, value: Any) -> tuple[ClientNetwork, ...]:
        if not all(isinstance(rule, ClientNetwork) for rule in value):
            raise ValueError("argument must be client networks")
        if len(value) > CLIENT_NETWORKS_MAX:
            raise ValueError(f"at most {CLIENT_NETWORKS_MAX} client networks fit in a heartbeat")
        return tuple(value)

    def merge(self, old: Any, new: Any, *, first: bool) -> Any:
        return new if first else old + new

    def show(self, value: tuple[ClientNetwork, ...]) -> str:
        return " ".join(f"{rule.network} {rule.host} {rule.port}" for rule in value)

    def rewrite(self, value: tuple[ClientNetwork, ...]) -> list[str]:
        return [f"{rule.network} {rule.host} {rule.port}" for rule in value]


class Entries(Kind):
    """A directive that may stand on many lines, each an entry of its own (`user`, `loadmodule`, `rename-command`)."""

    def __init__(self, least: int, most: int | None = None):
        # Not known to CONFIG at all, as in Redis.
        super().__init__(fixed=True, hidden=True)
        self._least = least
        self._most = most

    def parse(self, words: Sequence[str]) -> list[tuple[str, ...]]:
        if len(words) < self._least or (self._most is not None and len(words) > self._most):
            raise ValueError("Bad directive or wrong number of arguments")
        return [tuple(words)]

    def check(self, value: Any) -> list[tuple[str, ...]]:
        return list(value)

    def merge(self, old: Any, new: Any, *, first: bool) -> Any:  # noqa: ARG002 - they always add up
        return old + new

    def rewrite(self, value: list[tuple[str, ...]]) -> list[str]:
        return [to_text(joined(to_bytes(word) for word in entry)) for entry in value]


def file_name(directive: str, noun: str, *, may_be_empty: bool = False) -> Text:
    """A name in the folder `dir`, not a path."""

    def valid(name: str) -> str | None:
        if not name and not may_be_empty:
            return f"{directive} can't be empty"
        return f"{directive} can't be a path, just a {noun}" if "/" in name else None

    return Text(valid, fixed=not may_be_empty, protected=may_be_empty)


def host_name(name: str) -> str | None:
    """Why `name` cannot be announced, or None (`cluster-announce-hostname`)."""
    if len(name) >= _HOST_LENGTH_MAX:
        return f"Hostnames must be less than {_HOST_LENGTH_MAX} characters"
    if not all(letter in _HOST_LETTERS for letter in name):
        return "Hostnames may only contain alphanumeric characters, hyphens or dots"
    return None


def node_name(name: str) -> str | None:
    """Why `name` cannot be announced, or None (`cluster-announce-human-nodename`)."""
    if not all(letter in _NAME_LETTERS for letter in name):
        return "Announced human node name contained invalid character"
    return None


def _natural(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() and len(word) < 20 else None
