"""What is pending in a group for longest, beside a version that looks at everything."""

from __future__ import annotations

from random import Random

from node.structures.consumer_groups import Consumer, Group


def test_longest_pending_beside_a_sort() -> None:
    random = Random(3)
    group = Group(0, 0)
    consumers = [Consumer(name, 0) for name in (b"a", b"b")]
    group.consumers = {consumer.name: consumer for consumer in consumers}
    for now_ms in range(3000):
        chance = random.random()
        entry_id = random.randrange(40)
        if chance < 0.6:
            # Times are set back, too.
            group.deliver(entry_id, random.choice(consumers), now_ms - random.choice((0, 0, 500)), 1)
        elif chance < 0.8:
            group.acknowledge(entry_id)
        else:
            latest_ms = now_ms - random.randrange(600)
            expected = sorted(
                (delivery.time_ms, each)
                for each, delivery in group.deliveries.items()
                if delivery.time_ms <= latest_ms and each % 5
            )
            count = random.randrange(1, 12)
            found = group.longest_pending(count, latest_ms, lambda each: each % 5 != 0)
            assert found == [each for _, each in expected[:count]]
        if group._by_time is not None:
            assert len(group._by_time) <= 2 * len(group.deliveries) + 70
        group._check()
