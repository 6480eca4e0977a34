"""The simulator: nodes, sentinels, proxies and clients in one interpreter, in virtual time, from a seed.

The programs run unchanged. Their loop is `sim.loop`, whose time jumps from event to event; their network is
`sim.fabric` and what stands on it, their files are `sim.disk`, their clocks and chance come from their `sim.host`.
One seed decides every latency, loss, fault and interleaving, so the same seed gives the same run, byte for byte
(`sim.trace` has its digest). To see how it fits together, read `world`, then `process`, then `loop`.
"""
