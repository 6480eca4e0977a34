"""The constants of time, by the names that SENTINEL DEBUG shows and sets.

Redis' defaults suit a `down-after-milliseconds` of half a minute. Where that option is set to less
than a few seconds, what is done in response to it has to keep pace, or the constant and not the
option would decide how long a dead master goes unnoticed. The functions below derive those paces.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Periods:
    """Milliseconds, all of them; mutable because SENTINEL DEBUG changes them in a running process."""

    # Between two INFO to a healthy master or replica.
    info: int = 10_000
    # Upper bound of the time between two PINGs.
    ping: int = 1_000
    # Between two SENTINEL IS-MASTER-DOWN-BY-ADDR to one sentinel.
    ask: int = 1_000
    # Between two hello messages to one instance.
    publish: int = 2_000
    # `down-after-milliseconds` of a master that does not set it.
    default_down_after: int = 30_000
    # `failover-timeout` of a master that does not set it.
    default_failover_timeout: int = 180_000
    # A pause of this process longer than this means that its picture of the world is stale.
    tilt_trigger: int = 2_000
    # How long nothing is concluded after such a pause.
    tilt: int = 30_000
    # How long a replica may take to show that it follows the promoted one.
    slave_reconf_timeout: int = 10_000
    # A link younger than this is not closed for being silent.
    min_link_reconnect: int = 15_000
    # How long to wait for votes.
    election_timeout: int = 10_000
    # Scripts: run time before SIGKILL, and delay before the first retry.
    script_max_runtime: int = 60_000
    script_retry_delay: int = 30_000

    def ping_every(self, down_after: int) -> int:
        """The pace of PINGs and of attempts to connect.

        Redis pings every min(PING-PERIOD, down-after). With a down-after of 500 ms that would leave up to half
        a second between a death and the first unanswered PING, and, worse, a process that was last heard 490 ms
        ago and then resets its connection would be called down 10 ms later. A quarter keeps both errors small.
        """
        return max(10, min(self.ping, down_after // 4))

    def ask_every(self, down_after: int) -> int:
        """The pace of questions about a master that is down here: the first of two sentinels to see it down
        is told "no", and with a flat second it would be the last to learn that the second agrees."""
        return max(20, min(self.ask, down_after // 2))

    def desync(self, down_after: int, *, again: bool) -> int:
        """Upper bound of the random wait before standing for election, for the first time or again.

        Two candidates at the same moment each vote for themselves; with one more sentinel dead, nobody is elected
        and the shard is without a master for two failover-timeouts. Spreading candidates over a time much longer
        than a round trip makes that rare. Redis spreads its timers over 50 to 100 ms and retries over a second. A
        flat second would be most of the outage where down-after is 500 ms, so the wait scales with the option. Those
        who try again have waited for two failover-timeouts: for them a second is little, and it is what they need if
        they collided because writing a vote down takes hundreds of milliseconds here.
        """
        return 1_000 if again else min(1_000, down_after) // 2


# The names of SENTINEL DEBUG, in its order, and the field each stands for.
DEBUG_NAMES = {
    "INFO-PERIOD": "info",
    "PING-PERIOD": "ping",
    "ASK-PERIOD": "ask",
    "PUBLISH-PERIOD": "publish",
    "DEFAULT-DOWN-AFTER": "default_down_after",
    "DEFAULT-FAILOVER-TIMEOUT": "default_failover_timeout",
    "TILT-TRIGGER": "tilt_trigger",
    "TILT-PERIOD": "tilt",
    "SLAVE-RECONF-TIMEOUT": "slave_reconf_timeout",
    "MIN-LINK-RECONNECT-PERIOD": "min_link_reconnect",
    "ELECTION-TIMEOUT": "election_timeout",
    "SCRIPT-MAX-RUNTIME": "script_max_runtime",
    "SCRIPT-RETRY-DELAY": "script_retry_delay",
}
