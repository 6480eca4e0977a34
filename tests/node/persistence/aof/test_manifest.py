"""The manifest: what a real server writes is understood, and what it refuses is refused in its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.persistence.aof.manifest import Manifest, ManifestError, Part, parse

FRESH = b"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"


def test_what_a_fresh_server_writes() -> None:
    manifest = Manifest()
    base = manifest.next_base("appendonly.aof", "rdb")
    increment = manifest.next_increment("appendonly.aof")
    whole = Manifest(base).with_increment(increment)
    assert whole.render() == FRESH
    assert parse(FRESH) == whole
    assert whole.parts == (base, increment)


def test_a_rewrite_in_three_steps() -> None:
    before = parse(FRESH)
    increment = before.next_increment("appendonly.aof")
    base = before.next_base("appendonly.aof", "aof")
    during = before.with_increment(increment)
    after = during.rebased(base, increment)
    assert after.parts == (Part("appendonly.aof.2.base.aof", 2), Part("appendonly.aof.2.incr.aof", 2))
    assert after.render() == (
        b"file appendonly.aof.2.base.aof seq 2 type b\n"
        b"file appendonly.aof.1.incr.aof seq 1 type h\n"
        b"file appendonly.aof.1.base.rdb seq 1 type h\n"
        b"file appendonly.aof.2.incr.aof seq 2 type i\n"
    )
    # What was replaced last stands first, as redis-server writes it.
    increment = after.next_increment("appendonly.aof")
    again = after.with_increment(increment).rebased(after.next_base("appendonly.aof", "rdb"), increment)
    assert [part.name.partition("aof.")[2] for part in again.history] == [
        *("2.incr.aof", "2.base.aof", "1.incr.aof", "1.base.rdb")
    ]
    assert after.without_history().history == ()


def test_only_the_words_count_and_not_their_order_or_the_names() -> None:
    text = b'# written by hand\nFILE "a b" TYPE base foo bar SEQ 7\nseq 3 type i file x\n# end\nfile old seq 2 type h\n'
    manifest = parse(text)
    assert manifest == Manifest(Part("a b", 7), (Part("x", 3),), (Part("old", 2),))
    assert manifest.next_base("s", "rdb").seq == 8
    assert manifest.next_increment("s").seq == 4


REFUSED = [
    (b"", "Found an empty AOF manifest"),
    (b"file b seq 1 type b\n\n", "Invalid AOF manifest file format"),
    (b"file b seq 1 type b", "The AOF manifest file contains too long line"),
    (b"file %b seq 1 type b\n" % (b"x" * 1024), "The AOF manifest file contains too long line"),
    (b"file b seq 0 type b\n", "Invalid AOF manifest file format"),
    (b"file b seq x type b\n", "Invalid AOF manifest file format"),
    (b"file b seq 1\n", "Invalid AOF manifest file format"),
    (b"file b seq 1 type b x\n", "Invalid AOF manifest file format"),
    (b'file "b seq 1 type b\n', "Invalid AOF manifest file format"),
    (b"file a/b seq 1 type b\n", "File can't be a path, just a filename"),
    (b"file b seq 1 type b\nfile c seq 2 type b\n", "Found duplicate base file information"),
    (b"file b seq 2 type i\nfile c seq 2 type i\n", "Found a non-monotonic sequence number"),
    (b"file b seq 1 type x\n", "Unknown AOF file type"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused_with_the_words_of_redis(text: bytes, reason: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse(text)
    assert refused.value.lines[0] == "*** FATAL AOF MANIFEST FILE ERROR ***"
    assert refused.value.lines[-1] == reason


def test_the_refusal_names_the_line() -> None:
    with pytest.raises(ManifestError) as refused:
        parse(b"# first\nfile b seq 1 type x\n")
    assert refused.value.lines[1:3] == ["Reading the manifest file, at line 2", ">>> 'file b seq 1 type x'"]


@given(st.binary(max_size=80))
def test_bytes_at_random_are_refused_and_nothing_else(text: bytes) -> None:
    try:
        parse(text)
    except ManifestError:
        return


@given(st.text(st.characters(codec="latin-1", exclude_characters="/\0"), min_size=1, max_size=20))
def test_any_name_survives(name: str) -> None:
    manifest = Manifest(Part(name, 1))
    assert parse(manifest.render()) == manifest
