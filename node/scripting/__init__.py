"""Lua scripts and functions, in a sandbox of their own that looks like Redis'.

`prelude` has the Lua side of the sandbox, `sandbox` makes a Lua state with it, `values` carries values over the
border, `gateway` runs the commands that a script calls, `engine` runs a script and interrupts it when it takes too
long. `scripts` is the cache of EVAL; `functions` the libraries of FCALL. The modules that scripts can use (cjson,
cmsgpack, struct, bit) are in `libraries`.
"""
