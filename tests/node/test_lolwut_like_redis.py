"""LOLWUT: the picture is ours, what is refused is what a real server refuses."""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "VERSION",
        "1 x",
        "VERSION x",
        "version 5 x",
        "VERSION 5 1 x",
        "VERSION 5 1 1 x",
        "VERSION 5 1 1 1 x",
        "VERSION 6 x",
        "VERSION 6 1 x",
        "VERSION 6 1 1 x",
        "VERSION 7 x",
        "VERSION -1 x",
    ],
)
def test_arguments(pair: Pair, arguments: str) -> None:
    ours, theirs = (client.ask("LOLWUT", *arguments.split()) for client in pair.connect())
    if theirs.startswith(b"-"):
        assert ours == theirs
    else:
        assert b"Redis ver. 7.0" in ours
