"""SUBSCRIBE and its relatives through the proxy."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.slots import key_slot
from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.raw_client import raw_client
from tests.proxy.real_cluster import RealCluster
from tests.waiting import wait_for


def next_message(pubsub: Any) -> Any:
    return wait_for(lambda: pubsub.get_message(timeout=0.1), what="a message")


@pytest.mark.parametrize("protocol", [2, 3])
def test_messages_reach_subscribers(proxy: ProxyProcess, cluster: RealCluster, protocol: int) -> None:
    with proxy.client(protocol=protocol) as client, proxy.client() as publisher, client.pubsub() as pubsub:
        pubsub.subscribe("news", "more")
        pubsub.psubscribe("n*")
        assert [next_message(pubsub)["type"] for _ in range(3)] == ["subscribe", "subscribe", "psubscribe"]
        # Both the channel and the pattern receive it, and the publisher is told so.
        assert publisher.publish("news", "hello") == 2
        assert [next_message(pubsub)["data"] for _ in range(2)] == [b"hello", b"hello"]
        assert publisher.pubsub_channels() == [b"more", b"news"] or publisher.pubsub_channels() == [b"news", b"more"]
        assert publisher.pubsub_numpat() == 1
        # Who publishes at any node reaches them as well.
        for node in cluster.masters():
            with node.client() as direct:
                direct.publish("more", "direct")
                assert next_message(pubsub)["data"] == b"direct"
        pubsub.unsubscribe()
        pubsub.punsubscribe()
        assert {next_message(pubsub)["type"] for _ in range(3)} == {"unsubscribe", "punsubscribe"}
        assert publisher.publish("news", "nobody") == 0


def test_resp2_subscriber_may_say_little(proxy: ProxyProcess) -> None:
    with raw_client(proxy.port) as client:
        client.says(
            "SUBSCRIBE a b",
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
        )
        client.says("PING", b"*2\r\n$4\r\npong\r\n$0\r\n\r\n")
        client.says(
            "GET x",
            b"-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
            b"this context\r\n",
        )
        # The end of the last subscription and what follows it, in one breath.
        client.says(
            "UNSUBSCRIBE a b\r\nSET x 1\r\nGET x",
            b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n",
            b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n",
            b"+OK\r\n",
            b"$1\r\n1\r\n",
        )
        client.says("UNSUBSCRIBE q", b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nq\r\n:0\r\n")
        client.says(
            "SUBSCRIBE again\r\nRESET\r\nGET x",
            b"*3\r\n$9\r\nsubscribe\r\n$5\r\nagain\r\n:1\r\n",
            b"+RESET\r\n",
            b"$1\r\n1\r\n",
        )


def test_never_subscribed_unsubscribes(proxy: ProxyProcess) -> None:
    with raw_client(proxy.port) as client:
        client.says("PUNSUBSCRIBE", b"*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n")
        client.says("SUNSUBSCRIBE a", b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n")


def test_resp3_subscriber_may_say_anything(proxy: ProxyProcess) -> None:
    with raw_client(proxy.port) as client, proxy.client() as publisher:
        client.says("HELLO 3", None)
        client.says("SUBSCRIBE a", b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        client.says("SET x 1", b"+OK\r\n")
        client.says("PING", b"+PONG\r\n")
        publisher.publish("a", "m")
        assert client.read() == b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nm\r\n"
        client.says("MGET x y", b"*2\r\n$1\r\n1\r\n_\r\n")


def test_shard_channels_live_on_one_node(proxy: ProxyProcess, cluster: RealCluster) -> None:
    other = next(key for key in "bcdefgh" if cluster.owner(key) is not cluster.owner("a"))
    with raw_client(proxy.port) as client, proxy.client() as publisher:
        client.says("SSUBSCRIBE a", b"*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n")
        client.says(f"SSUBSCRIBE {other}", b"-CROSSSLOT Keys in request don't hash to the same slot\r\n")
        assert publisher.execute_command("SPUBLISH", "a", "m") == 1
        assert client.read() == b"*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\nm\r\n"
        client.says("SUNSUBSCRIBE a", b"*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n")


def test_lost_subscription_closes_the_client(proxy: ProxyProcess, cluster: RealCluster) -> None:
    """It may have missed messages; with one Redis it would learn of that in just this way."""
    with raw_client(proxy.port) as client:
        client.says("SUBSCRIBE a", b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
        for node in cluster.masters():
            with node.client() as direct:
                direct.client_kill_filter(_type="pubsub")
        assert client.closed()


def test_a_shard_channel_that_moves_closes_the_client(proxy: ProxyProcess, cluster: RealCluster) -> None:
    slot = key_slot(b"a")
    owner = cluster.owner("a")
    with raw_client(proxy.port) as client, raw_client(proxy.port) as other, owner.client() as direct:
        client.says("SSUBSCRIBE a", b"*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n")
        other.says("SSUBSCRIBE {a}b", b"*3\r\n$10\r\nssubscribe\r\n$4\r\n{a}b\r\n:1\r\n")
        # Ended by the client itself, it is no reason.
        other.says("SUNSUBSCRIBE {a}b", b"*3\r\n$12\r\nsunsubscribe\r\n$4\r\n{a}b\r\n:0\r\n")
        direct.execute_command("CLUSTER", "DELSLOTS", slot)
        try:
            assert client.closed()
            other.says("PING", b"+PONG\r\n")
        finally:
            direct.execute_command("CLUSTER", "ADDSLOTS", slot)
            cluster.wait_healthy()
