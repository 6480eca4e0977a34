"""The append-only file: every write is in it before its client is answered, and a restart repeats what it says.

One folder of several files, as in Redis 7.0: a base (a snapshot, or commands that make one), increments (what was
executed since), and a manifest that says which files count and in which order. `manifest` and `reading` are pure;
`folder` keeps the files; `log` appends and syncs; `replay` loads; `rewriting` makes a new base when the old one with
its increments has grown; `append_only` ties them together and is what the node knows.
"""
