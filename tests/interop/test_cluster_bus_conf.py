"""nodes.conf changes hands: a real node starts with what we wrote, we with what it wrote; both refuse the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cluster.endpoints import ClientNetwork
from cluster.nodes_conf import CORRUPT, NodesConfError, parse, render
from cluster.slots import ranges
from tests.interop.real_nodes import RealNode, needs_redis, running
from tests.ports import free_base

# What the files say; nobody listens there but the one node that is started, at its own port.
PORT = 7000
A, B = "a" * 40, "b" * 40
ME = f"{A} 127.0.0.1:{PORT}@{PORT + 10000} myself,master - 0 0 1 connected"
OTHER = f"{B} 127.0.0.1:{PORT + 1}@{PORT + 10001} master - 0 0 2 connected 200"
VARS = "vars currentEpoch 3 lastVoteEpoch 2"


@needs_redis
async def test_a_real_node_starts_with_our_file_and_we_with_its(tmp_path: Path) -> None:
    state = parse(f"{ME} 0-99 300 [5->-{B}] [200-<-{B}]\n{OTHER}\n{VARS}\n".encode(), 0)
    state.nodes[B].hostname = "node-2"
    state.nodes[B].client_networks = (ClientNetwork.of("0.0.0.0/0", "localhost", "7001"),)
    state.nodes[B].shard_id = "c" * 40
    real = RealNode(tmp_path, free_base(), conf=render(state).decode())
    async with running(real):
        assert await real.cluster("MYID") == A
        lines = {line.split()[0]: line.split() for line in (await real.cluster("NODES")).splitlines()}
        assert lines[A][8:] == ["0-99", "300", f"[5->-{B}]", f"[200-<-{B}]"]
        assert lines[B][1] == f"127.0.0.1:{PORT + 1}@{PORT + 10001},node-2"
        assert "cluster_current_epoch:3" in await real.cluster("INFO")
        await real.cluster("SETSLOT", 5, "STABLE")
        await real.cluster("SAVECONFIG")
    again = parse((real.folder / "nodes.conf").read_bytes(), 0)
    assert again.myself.id == A
    assert ranges(again.myself.slots) == [(0, 99), (300, 300)]
    assert (list(again.migrating), list(again.importing), again.last_vote_epoch) == ([], [200], 2)


@needs_redis
@pytest.mark.parametrize(
    "text",
    [
        "garbage\n",
        "\n\n",
        f"{VARS}\n",
        f"{ME.rpartition(' ')[0]}\n",
        f"{A} 127.0.0.1 myself,master - 0 0 1 connected\n",
        f"{ME} 5-99999\n",
        f"short{ME[40:]}\n",
        f"{ME}\nvars currentEpoch\n",
        f"{ME}\n{VARS}\ntrailing",
    ],
)
def test_what_a_real_node_refuses_we_refuse(tmp_path: Path, text: str) -> None:
    (tmp_path / "nodes.conf").write_text(text)
    command = ["redis-server", "--port", str(free_base()), "--cluster-enabled", "yes", "--dir", str(tmp_path)]
    real = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert real.returncode == 1
    with pytest.raises(NodesConfError) as refusal:
        parse(text.encode(), 0)
    assert str(refusal.value) == CORRUPT
    assert CORRUPT in real.stdout
