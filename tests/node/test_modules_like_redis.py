"""MODULE: what a real server answers that has no modules either, by whether loading is allowed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.conftest import Pair, started_pair
from tests.node.differential import assert_same

REQUESTS = [
    ["MODULE"],
    ["MODULE", "LIST"],
    ["MODULE", "LIST", "all"],
    ["MODULE", "HELP"],
    ["MODULE", "LOAD"],
    ["MODULE", "LOAD", "/no/such.so"],
    ["MODULE", "LOAD", "/no/such.so", "a", "b"],
    ["MODULE", "LOADEX", "/no/such.so", "CONFIG", "name", "value", "ARGS", "a"],
    ["MODULE", "UNLOAD", "search"],
    ["MODULE", "UNLOAD", "search", "json"],
    ["MODULE", "RELOAD", "search"],
    ["INFO", "modules"],
]


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started_pair(tmp_path_factory, "--enable-module-command", "yes") as pair:
        yield pair


@pytest.mark.parametrize("words", REQUESTS, ids=" ".join)
def test_where_loading_is_not_allowed(pair: Pair, words: list[str]) -> None:
    ours, theirs = pair.connect()
    assert_same(words, ours.ask(*words), theirs.ask(*words))


@pytest.mark.parametrize("words", REQUESTS, ids=" ".join)
def test_where_it_is(allowing: Pair, words: list[str]) -> None:
    ours, theirs = allowing.connect()
    assert_same(words, ours.ask(*words), theirs.ask(*words))
