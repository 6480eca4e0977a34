"""The rules of the cluster without anything around them: machines stepped directly, in virtual time.

No event loop and no bytes: messages are handed over as objects, so a cluster of a thousand nodes fits in one process
and elections can be explored by the hundred thousand. `world` puts it together; `swarm` breaks it, seed by seed.
"""
