"""Full copies for replicas that cannot continue: when one is made, for whom, and how it reaches them.

Two ways. *Streamed*: a child writes the snapshot into a pipe and the node passes it to all waiting replicas
as it comes, between two marks, since nobody knows its length beforehand. *From disk*: an ordinary snapshot is
saved, then sent with its length in front. Either way the copy stands at the offset at which its child was
forked; that is announced then (`+FULLRESYNC`), and the stream from there on is kept for the replica until
the copy has arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.keyspace import Keyspace
from node.persistence.child import Child, ChildKind
from node.persistence.rdb_writer import RdbWriter
from node.persistence.saving import Saver
from node.persistence.snapshot import write_snapshot
from node.replication.feed import Feed
from node.replication.peer import PeerState, ReplicaPeer
from node.replication.settings import ReplicationSettings
from runtime import Runtime
from runtime.background import StreamingJob

# More than this unsent to some replica, and the copy waits; looked at again after a moment.
_UNSENT_MAX = 4 * 1024 * 1024
_LOOK_AGAIN_S = 0.005
_CHUNK = 1024 * 1024


class Copies:
    """The replicas that wait for a copy, and the copy under way."""

    __slots__ = (
        "_child",
        "_feed",
        "_job",
        "_keyspace",
        "_online",
        "_runtime",
        "_saver",
        "_settings",
        "_timer",
        "_waiting",
        "under_way",
    )

    def __init__(
        self,
        settings: ReplicationSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        feed: Feed,
        saver: Saver,
        child: Child,
        online: Callable[[ReplicaPeer], None],
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._feed = feed
        self._saver = saver
        self._child = child
        # Told of each replica that has its copy.
        self._online = online
        # Replicas for which no copy has been begun, in order of asking.
        self._waiting: dict[ReplicaPeer, None] = {}
        # Replicas that get the copy under way, and the child that writes it if it is streamed.
        self.under_way: dict[ReplicaPeer, None] = {}
        self._job: StreamingJob | None = None
        # Ends the delay in which more replicas may come to share a streamed copy.
        self._timer: asyncio.TimerHandle | None = None
        child.when_free.append(self._begin_if_due)

    def request(self, peer: ReplicaPeer) -> None:
        """`peer` needs a copy; it is served as soon as a child can be forked, and the delay has passed."""
        peer.waiting_since = asyncio.get_running_loop().time()
        self._waiting[peer] = None
        if self._child.busy:
            self._runtime.log.notice("Current BGSAVE has not finished: the replica waits for the next one")
        elif self._due_at(peer) > peer.waiting_since:
            self._runtime.log.notice("Delay next BGSAVE for diskless SYNC")
        self._begin_if_due()

    def forget(self, peer: ReplicaPeer) -> None:
        """`peer` is gone; a streamed copy that nobody wants any more is given up."""
        self._waiting.pop(peer, None)
        self.under_way.pop(peer, None)
        if self._job is not None and not self.under_way:
            self._runtime.log.notice("Diskless rdb transfer, last replica dropped, killing fork child.")
            self._job.kill()

    def keep_alive(self) -> None:
        """Once a second: a newline tells those who wait, and have nothing to read yet, that we are at it."""
        for peer in self._waiting:
            if not peer.old:
                peer.write(b"\n")
        if self._job is None:
            for peer in self.under_way:
                if peer.state is PeerState.WAITING:
                    peer.write(b"\n")

    def stop(self) -> None:
        """The node ends: begin no more."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _streams_to(self, peer: ReplicaPeer) -> bool:
        # What is not a whole snapshot has no place on disk.
        return peer.eof and (self._settings.repl_diskless_sync or peer.without_data)

    def _due_at(self, peer: ReplicaPeer) -> float:
        """When the copy for `peer` may begin: a streamed one waits for others who could share it."""
        if not self._streams_to(peer):
            return peer.waiting_since
        most = self._settings.repl_diskless_sync_max_replicas
        if most and sum(map(self._streams_to, self._waiting)) >= most:
            return peer.waiting_since
        return peer.waiting_since + self._settings.repl_diskless_sync_delay

    def _begin_if_due(self) -> None:
        """Begin the copy that is due, if there is one and there is no child; otherwise look again in time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._child.busy or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        first = min(self._waiting, key=self._due_at)
        due_at = self._due_at(first)
        if due_at > loop.time():
            self._timer = loop.call_at(due_at, self._begin_if_due)
            return
        streamed = self._streams_to(first)
        chosen = [
            peer
            for peer in self._waiting
            if self._streams_to(peer) is streamed and peer.without_data is first.without_data
        ]
        for peer in chosen:
            del self._waiting[peer]
            self.under_way[peer] = None
        self._announce(chosen)
        target = "replicas sockets" if streamed else "disk"
        self._runtime.log.notice(f"Starting BGSAVE for SYNC with target: {target}")
        if not (self._begin_streamed(keys=not first.without_data) if streamed else self._saver.start(self._saved)):
            self._runtime.log.warning("BGSAVE for replication failed")
            self._give_up()

    def _announce(self, peers: list[ReplicaPeer]) -> None:
        """The copy stands at the present offset: say so, and keep the stream from here on."""
        feed = self._feed
        feed.flush()
        feed.reselect()
        assert feed.backlog is not None, "a copy is of a history that goes on"
        for peer in peers:
            if not peer.rdb_only:
                peer.keep(feed.backlog)
            if not peer.old:
                peer.write(b"+FULLRESYNC %b %d\r\n" % (feed.history.replid, feed.history.offset))

    # Streamed

    def _begin_streamed(self, *, keys: bool) -> bool:
        settings = self._settings
        remarks = self._saver.remarks()
        mark = self._runtime.random.hex_id("copy-mark").encode()

        def work(write: Callable[[bytes], None]) -> None:
            # Not compressed: LZF in Python costs more than any loopback or network saves.
            writer = RdbWriter(write, compress=False, checksum=settings.rdbchecksum)
            write_snapshot(writer, self._keyspace, remarks, self._child.progress.advance, keys=keys)

        try:
            self._job = self._child.start_streaming(
                ChildKind.REPLICAS, work, self._pass_on, lambda ok: self._streamed(mark, ok)
            )
        except OSError as error:
            self._runtime.log.warning(f"Can't fork for a copy: {error.strerror}")
            return False
        self._runtime.log.notice(f"Background RDB transfer started by pid {self._child.pid}")
        for peer in self.under_way:
            peer.write(b"$EOF:%b\r\n" % mark)
        return True

    def _pass_on(self, data: bytes) -> None:
        """The next bytes of the streamed copy."""
        for peer in list(self.under_way):
            peer.write(data)
        self._brake()

    def _brake(self) -> None:
        """The slowest replica sets the pace: what it has not taken would pile up here."""
        if self._job is None:
            return
        if any(peer.socket_unsent > _UNSENT_MAX for peer in self.under_way):
            self._job.pause()
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._brake)
        else:
            self._job.resume()

    def _streamed(self, mark: bytes, succeeded: bool) -> None:
        self._job = None
        if not succeeded:
            self._runtime.log.warning(f"Background transfer {self._child.how_it_ended()}")
            self._give_up()
            return
        log = self._runtime.log
        log.notice(f"Diskless rdb transfer, done reading from pipe, {len(self.under_way)} replicas still up.")
        log.notice("Background RDB transfer terminated with success")
        peers, self.under_way = self.under_way, {}
        for peer in peers:
            peer.write(mark)
            self._runtime.log.notice(
                f"Streamed replica with replica {peer.name} succeeded (socket). "
                "Waiting for REPLCONF ACK from slave to enable streaming"
            )
            # The replica cannot tell the end of the copy from the stream: it must speak before it gets any of it.
            self._online(peer)

    # From disk

    def _saved(self, succeeded: bool) -> None:
        if not succeeded:
            self._runtime.log.warning("SYNC failed. BGSAVE child returned an error")
            self._give_up()
            return
        try:
            data = self._saver.disk().read(self._settings.dbfilename)
            if self._settings.rdb_del_sync_files and not self._settings.save and not self._settings.appendonly:
                # Where nothing is to be kept on disk, no copy of the data is either.
                self._saver.disk().unlink(self._settings.dbfilename)
        except OSError as error:
            self._runtime.log.warning(f"SYNC failed. Can't open DB after BGSAVE: {error.strerror}")
            self._give_up()
            return
        for peer in list(self.under_way):
            peer.state = PeerState.SENDING
            peer.write(b"$%d\r\n" % len(data))
            self._send_from(peer, data, 0)

    def _send_from(self, peer: ReplicaPeer, data: bytes, position: int) -> None:
        """Send what the socket takes of the file, from `position` on; the rest after a moment."""
        while position < len(data):
            if peer not in self.under_way:
                return  # it hung up
            if peer.socket_unsent > _UNSENT_MAX:
                asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._send_from, peer, data, position)
                return
            peer.write(data[position : position + _CHUNK])
            position += _CHUNK
        del self.under_way[peer]
        self._online(peer)
        peer.release()

    def _give_up(self) -> None:
        """The copy failed: hang up, so that each replica asks again."""
        peers, self.under_way = self.under_way, {}
        for peer in peers:
            peer.drop()
