"""A master that has just started gives no copy to a replica that has more than it (`cluster.comeback`)."""

from __future__ import annotations

from pathlib import Path

from tests.node.own_server import OwnServer
from tests.ports import free_base
from tests.waiting import wait_for


def test_a_replica_with_more_data_gets_no_copy_until_the_master_serves(tmp_path: Path) -> None:
    port = free_base()
    me, replica = "a" * 40, "b" * 40
    # The replica does not answer, so the master waits for it for as long as it waits at all: two seconds.
    (tmp_path / "nodes.conf").write_text(
        f"{me} 127.0.0.1:{port}@{port + 10000} myself,master - 0 0 1 connected 0-16383\n"
        f"{replica} 127.0.0.1:{port + 1}@{port + 10001} slave {me} 0 0 1 connected\n"
        "vars currentEpoch 1 lastVoteEpoch 0\n"
    )
    server = OwnServer(port, tmp_path, "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
    try:
        server.wait_ready()
        asked = server.client().ask("PSYNC", "f" * 40, "5001")
        assert asked == b"-NOMASTERLINK Can't SYNC while a replica has more data than its master\r\n"
        assert server.client().ask("PSYNC", "f" * 40, "1").startswith(b"+FULLRESYNC ")
        wait_for(lambda: b"cluster_state:ok" in server.client().ask("CLUSTER", "INFO"), what="cluster_state:ok")
        assert server.client().ask("PSYNC", "f" * 40, "5001").startswith(b"+FULLRESYNC ")
    finally:
        server.kill()
