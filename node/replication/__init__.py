"""Replication: one node's part in a history of writes that several nodes share.

`Replication` (in ``replication.py``) is what the node holds; everything else here is a part of it.

Towards the core
    Its sink is attached to `node.propagation` by itself, while this node is a master and somebody may want the
    stream: whole encoded commands come in (``feed``), SELECT, backlog, offsets and sending are added here, and
    each replica is written to once a turn (a step of `wire.turn`, so make the log's step first).
    ``detached(session)``      a client is gone (the service's `closed`): it may have been a replica.
    ``cron()``                 once a second.
    ``load_at_start()``        the snapshot, before clients are served; raises RdbError: end with status 1.
    ``update_conditions()``    after CONFIG SET of replica-read-only, replica-serve-stale-data, min-replicas-*.
    ``info()``                 in `info`: INFO's section, in Redis' order.

Towards operators and the cluster's driver
    ``follow(host, port)``     become a replica of that node (REPLICAOF, CLUSTER REPLICATE, a failover learnt by
                               gossip); the same master again changes nothing.
    ``promote()``              become a master (REPLICAOF NO ONE, a won election): the id of the old history is kept
                               as replid2, so that the other replicas can continue with us.
    ``is_replica``, ``data_offset``, ``link_up``, ``data_age_ms()``: what elections ask.

Reading order: ``history`` and ``backlog`` (what is shared), ``psync`` (who may continue);
``feed``, ``peer``, ``copies`` and ``master`` (the master's side); ``handshake``, ``transfer`` and ``stream`` (what a
replica reads; pure), ``applier``, ``link`` and ``upstream`` (the replica's side); ``replication`` (both, and the change
between them).
"""
