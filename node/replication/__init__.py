"""Replication: one node's part in a history of writes that several nodes share.

`Replication` (in ``replication.py``) is what the node holds; everything else here is a part of it.

Towards the core
    ``feed(db_index, data)``   the propagation side hands in whole encoded commands that were executed, in order (slices of
                               the client's own bytes). SELECT, backlog, offsets and sending are added here. On a replica it
                               does nothing: there the stream is the master's.
    ``flush()``                a step of the turn (`wire.turn.Turn.steps`), after the log's: one write a replica a turn.
    ``detached(session)``      a client that had become a replica is gone (the service's `closed`).
    ``cron()``                 once a second.
    ``active``                 whether `feed` has anybody to feed: a backlog or a replica.
    ``offset``                 the history's offset; WAIT compares it with what replicas acknowledged.
    ``good_replicas``          for `min-replicas-to-write`.

Towards operators and the cluster's driver
    ``follow(host, port)``     become a replica of that node (REPLICAOF, CLUSTER REPLICATE, a failover seen by gossip); the same
                               master again changes nothing.
    ``promote()``              become a master (REPLICAOF NO ONE, a won election): the old history's id is kept as replid2.
    ``master``                 (host, port) or None; ``link_up``; ``offset``; ``data_age_ms()``: what elections ask.

What it asks of the core is the protocol `node.replication.replication.Core`.

Reading order: ``history`` and ``backlog`` (what is shared), ``psync`` (who may continue), ``feed`` and ``replicas`` (the master's side),
``handshake``, ``transfer`` and ``stream`` (what a replica reads), ``link`` and ``upstream`` (the replica's side).
"""
