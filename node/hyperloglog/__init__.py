"""HyperLogLogs: strings that estimate how many different elements they have seen, in Redis' own representation.

`murmur` hashes an element, `value` is the string with its header and its two encodings, `sparse` the compact one of
them, `estimate` the arithmetic from registers to a cardinality.
"""
