"""nodes.conf: Redis' own files are read, ours are what Redis would write, and anything else is refused in its words."""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.conf_file import IN_USE, NodesConfFile
from cluster.endpoints import ClientNetwork
from cluster.membership import ClusterState, NodeEntry
from cluster.nodes_conf import CORRUPT, NodesConfError, parse, render
from cluster.slots import ranges, slot_set
from runtime.disk import RealDisk

NOW_MS = 5000.0
A, B, C = "a" * 40, "b" * 40, "c" * 40

# Written by redis-server 7.0.15 after a failover.
AFTER_A_FAILOVER = """\
0bc07b42377967f593d1a982b9fa2c513539a907 127.0.0.1:25001@35001 master - 0 1795410540019 10 connected 0-5460
bd7846e96551b0685bf439951c1d4fc1458b1c14 127.0.0.1:25002@35002 myself,master - 0 1795410540000 2 connected 5461-10922
9e137b59d7f1fbecd6e9d053b2b52bb6668784e3 127.0.0.1:25006@35006 slave bd7846e96551b0685bf439951c1d4fc1458b1c14 0 1795410539918 2 connected
defe4263c59bf4609b037869df4e51a25d88bdb1 127.0.0.1:25005@35005 master,fail - 1795410538102 1795410537096 9 disconnected
vars currentEpoch 10 lastVoteEpoch 9
"""  # noqa: E501 - as it stands in the file
ME = f"{A} 127.0.0.1:7000@17000 myself,master - 0 0 1 connected"
VARS = "vars currentEpoch 1 lastVoteEpoch 0"


def test_a_file_of_redis_is_read() -> None:
    state = parse(AFTER_A_FAILOVER.encode(), NOW_MS)
    me = state.myself
    assert (me.id[:4], me.ip, me.port, me.cport, me.config_epoch) == ("bd78", "127.0.0.1", 25002, 35002, 2)
    assert ranges(me.slots) == [(5461, 10922)]
    [replica] = me.replicas
    assert (replica.id[:4], replica.is_replica, replica.config_epoch) == ("9e13", True, 0)
    dead = next(node for node in state.nodes.values() if node.fail)
    assert (dead.is_master, dead.fail_at, dead.ping_sent_at) == (True, NOW_MS, NOW_MS)
    assert (state.current_epoch, state.last_vote_epoch) == (10, 9)
    state._check()


def test_what_was_read_is_written_again() -> None:
    state = parse(AFTER_A_FAILOVER.encode(), NOW_MS)
    rewritten = render(state).decode().splitlines()
    for old, new in zip(sorted(AFTER_A_FAILOVER.splitlines()), sorted(rewritten), strict=True):
        # The times of another boot mean nothing; links are not up yet.
        old_words, new_words = old.split(), new.split()
        assert new_words[:4] + new_words[6:7] + new_words[8:] == old_words[:4] + old_words[6:7] + old_words[8:]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(f"{A} 127.0.0.1:7000 myself,master - 0 0 1 connected", ("127.0.0.1", 7000, 17000, ""), id="3.0"),
        pytest.param(f"{A} ::1:7000@7 myself,master - 0 0 1 connected", ("::1", 7000, 7, ""), id="IPv6"),
        pytest.param(f"{A} :7000@7 myself,master - 0 0 1 connected", ("", 7000, 7, ""), id="address not known yet"),
        pytest.param(f"{A} 1.2.3.4:7@8,node-1 myself,master - 0 0 1 connected", ("1.2.3.4", 7, 8, "node-1"), id="7.0"),
        pytest.param(
            f"{A} 1.2.3.4:7@8,,tls-port=0,shard-id={B} myself,master - 0 0 1 connected",
            ("1.2.3.4", 7, 8, ""),
            id="7.2 without a host name",
        ),
        pytest.param(
            f"{A} 1.2.3.4:7@8,n,client-ipv4=1.1.1.1,nodename=x,tls-port=0,shard-id={B} myself,master - 0 0 1 connected",
            ("1.2.3.4", 7, 8, "n"),
            id="Valkey 8",
        ),
    ],
)
def test_addresses_of_all_versions(line: str, expected: tuple[str, int, int, str]) -> None:
    me = parse(f"{line}\n{VARS}\n".encode(), NOW_MS).myself
    assert (me.ip, me.port, me.cport, me.hostname) == expected


def test_shard_ids_of_redis_7_2_are_read_and_kept() -> None:
    mine = f"{A} 127.0.0.1:7000@17000,,tls-port=0,shard-id={'1' * 40} myself,slave {B} 0 0 1 connected"
    master = f"{B} 127.0.0.1:7001@17001,,tls-port=0,shard-id={'1' * 40} master - 0 0 1 connected 0-9"
    other = f"{C} 127.0.0.1:7002@17002,,tls-port=0,shard-id={'2' * 40} master - 0 0 2 connected"
    state = parse(f"{mine}\n{master}\n{other}\n{VARS}\n".encode(), NOW_MS)
    shards = {node.id: node.shard for node in state.nodes.values()}
    assert shards == {A: "1" * 40, B: "1" * 40, C: "2" * 40}
    written = render(state)
    assert b"shard-id=" not in written
    assert {node.id: node.shard for node in parse(written, NOW_MS).nodes.values()} == shards


@pytest.mark.parametrize(
    "text",
    [
        "garbage\n",
        "\n\n\n",
        f"{VARS}\n",
        f"{A} 127.0.0.1:7000@17000 myself,master - 0 0 1\n",
        f"{A} 127.0.0.1 myself,master - 0 0 1 connected\n",
        f"{A} 127.0.0.1:7000@17000 myself,bogus - 0 0 1 connected\n",
        f"{A} 127.0.0.1:7000@17000 master - 0 0 1 connected\n",
        f"{ME}\n{ME.replace(A, B)}\n",
        f"{ME} 5-99999\n",
        f"{ME} [7->-short]\n",
        f"{ME} abc\n",
        f"{ME} -5\n",
        "short 127.0.0.1:7000@17000 myself,master - 0 0 1 connected\n",
        f"{A} 127.0.0.1:7000@17000 myself,slave short 0 0 1 connected\n",
        f"{A} 127.0.0.1:7000@17000 myself,slave {A} 0 0 1 connected\n",
        f"{A} 127.0.0.1:7000@17000 myself,master - 0 0 x connected\n",
        f"{A} 127.0.0.1:7000@17000,,unheard-of=1 myself,master - 0 0 1 connected\n",
        f"{ME}\nvars currentEpoch\n",
        f"{ME}\nvars currentEpoch -1\n",
        f"{ME}\n{VARS}\ntrailing",
        f"{ME}\nvars shardlab-client-network {A},nonsense\n",
        f"{ME}\nvars shardlab-shard-id {A},nonsense\n",
        f"{A} 127.0.0.1:7000@17000,,shard-id=nonsense myself,master - 0 0 1 connected\n",
        "\xff\xfe",
        "\0" * 100,
    ],
)
def test_a_corrupt_file_is_refused_in_redis_words(text: str) -> None:
    with pytest.raises(NodesConfError, match=CORRUPT.replace(".", r"\.")):
        parse(text.encode("latin-1"), NOW_MS)


@given(st.binary(max_size=200) | st.text("0123456789abcdef \n:@,-[]<>varsmyselfmaster", max_size=300).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_garbage_raises_nothing_else(data: bytes) -> None:
    with pytest.raises(NodesConfError):
        parse(data, NOW_MS)


@given(st.integers(0, len(AFTER_A_FAILOVER)), st.binary(max_size=3), st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_read_or_refused(at: int, noise: bytes, lost: int) -> None:
    data = AFTER_A_FAILOVER.encode()
    try:
        state = parse(data[:at] + noise + data[at + lost :], NOW_MS)
    except NodesConfError:
        return
    state._check()


def test_everything_we_know_survives_a_restart() -> None:
    me, other, replica = NodeEntry(A, "10.0.0.1", 1, 2), NodeEntry(B, "10.0.0.2", 3, 4), NodeEntry(C, "::2", 5, 6)
    me.is_master = other.is_master = True
    state = ClusterState(me)
    state.add(other)
    state.add(replica)
    state.become_replica(replica, other)
    state.assign(slot_set([*range(100), 200, 16383]), me)
    state.assign(slot_set([101]), other)
    state.open_slot(state.migrating, 5, other)
    state.open_slot(state.importing, 101, other)
    me.hostname, me.config_epoch, other.config_epoch = "node-1", 7, 6
    other.nofailover = True
    other.shard_id = "e" * 40
    other.client_networks = (
        ClientNetwork.of("10.0.0.0/8", "node-2", "6379"),
        ClientNetwork.of("::/0", "localhost", "7001"),
    )
    state.current_epoch, state.last_vote_epoch = 9, 8
    greeted = NodeEntry("d" * 40, "10.0.0.9", 7, 8)
    greeted.handshake = True
    state.add(greeted)

    text = render(state).decode()
    assert text.splitlines()[0] == (
        f"{A} 10.0.0.1:1@2,node-1 myself,master - 0 0 7 connected 0-99 200 16383 [5->-{B}] [101-<-{B}]"
    )
    assert "d" * 40 not in text
    again = parse(text.encode(), NOW_MS)
    assert render(again) == render(state)
    assert again.nodes[B].client_networks == other.client_networks
    assert again.nodes[C].master is again.nodes[B]
    again._check()


def test_a_node_with_a_later_epoch_raises_the_current_one() -> None:
    """The power went between saving the one and the other: an epoch is never given twice."""
    assert parse(f"{ME.replace(' 1 connected', ' 7 connected')}\n{VARS}\n".encode(), NOW_MS).current_epoch == 7


class TestFile:
    def test_a_second_process_is_refused(self, tmp_path: Path) -> None:
        first, second = (NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf") for _ in range(2))
        assert first.open() == b""
        with pytest.raises(NodesConfError, match=IN_USE.format("nodes.conf").replace(".", r"\.")):
            second.open()
        # Replacing the file takes the lock along.
        first.save(b"one\n", fsync=False)
        first.save(b"two\n", fsync=True)
        with pytest.raises(NodesConfError):
            second.open()
        first.close()
        assert second.open() == b"two\n"
        second.close()

    def test_what_cannot_be_opened_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "nodes.conf").mkdir()
        with pytest.raises(NodesConfError) as refusal:
            NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf").open()
        assert str(refusal.value) == "Can't open nodes.conf in order to acquire a lock: Is a directory"

    def test_a_full_disk_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        file.open()
        file.save(b"old\n", fsync=True)

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(OSError, match="No space left"):
                file.save(b"new\n", fsync=True)
        assert (tmp_path / "nodes.conf").read_bytes() == b"old\n"
        file.save(b"newer\n", fsync=True)
        assert (tmp_path / "nodes.conf").read_bytes() == b"newer\n"
        file.close()

    def test_a_resharding_is_not_a_thousand_syncs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        file.open()
        file.save(b"first\n", fsync=True)
        syncs = Counter[str]()
        for name in ("fsync", "fdatasync"):
            really = getattr(os, name)
            monkeypatch.setattr(os, name, lambda fd, really=really: (syncs.update(["sync"]), really(fd))[1])
        for number in range(100):
            file.save(b"%d\n" % number, fsync=False)
        assert syncs["sync"] == 0
        assert not file.settled
        assert (tmp_path / "nodes.conf").read_bytes() == b"first\n"
        file.settle()
        assert file.settled
        assert (tmp_path / "nodes.conf").read_bytes() == b"99\n"
        file.save(b"100\n", fsync=False)
        file.close()
        assert (tmp_path / "nodes.conf").read_bytes() == b"100\n"
        assert [path.name for path in tmp_path.iterdir()] == ["nodes.conf"]

    def test_who_takes_the_file_away_gets_a_new_node(self, tmp_path: Path) -> None:
        killed = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        killed.open()
        killed.save(b"one\n", fsync=True)
        killed.save(b"two\n", fsync=False)
        (tmp_path / "nodes.conf").unlink()
        file = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        assert file.open() == b""
        file.close()
        assert [path.name for path in tmp_path.iterdir()] == ["nodes.conf"]

    def test_a_kill_loses_nothing(self, tmp_path: Path) -> None:
        killed = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        killed.open()
        killed.save(b"one\n", fsync=True)
        killed.save(b"two\n", fsync=False)
        killed.save(b"three\n", fsync=False)
        # What the kernel does with the files of a process that is no more; but the locks last no longer than those.
        (tmp_path / "other").mkdir()
        for path in tmp_path.glob("nodes.conf*"):
            (tmp_path / "other" / path.name).write_bytes(path.read_bytes())
        file = NodesConfFile(RealDisk(str(tmp_path / "other")), "nodes.conf")
        assert file.open() == b"three\n"
        file.close()
        killed.close()

    def test_a_full_disk_takes_no_half_of_a_save(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        killed = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        killed.open()
        killed.save(b"one\n", fsync=True)
        write = os.write
        room = [10]

        def nearly_full(fd: int, data: bytes) -> int:
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(fd, data[: room.pop()])

        for number in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(os, "write", nearly_full)
                with pytest.raises(OSError, match="No space left"):
                    killed.save(b"too much\n", fsync=False)
            room.append(10)
            killed.save(b"%d\n" % number, fsync=False)
        waiting = (tmp_path / "nodes.conf.waiting").read_bytes()
        assert b"too" not in waiting
        killed.close()
        assert (tmp_path / "nodes.conf").read_bytes() == b"1\n"

    def test_what_waits_for_another_nodes_conf_is_nothing(self, tmp_path: Path) -> None:
        """A power cut may bring a file back that was gone, and an operator another nodes.conf."""
        killed = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        killed.open()
        killed.save(b"one\n", fsync=True)
        killed.save(b"two\n", fsync=False)
        waiting = (tmp_path / "nodes.conf.waiting").read_bytes()
        killed.save(b"three\n", fsync=True)
        killed.close()
        (tmp_path / "nodes.conf.waiting").write_bytes(waiting)
        file = NodesConfFile(RealDisk(str(tmp_path)), "nodes.conf")
        assert file.open() == b"three\n"
        file.close()
