"""Data on disk and data in transit: the RDB format, and saving and loading with it.

``rdb_encoding`` (lengths, strings and scores), ``listpack``, ``intset`` and what came before them, ``ziplist`` and
``zipmap`` (a small collection in one string), and ``rdb_types`` (one row a value type) are what ``rdb_reader`` and
``rdb_writer`` are made of; all of them are pure: bytes in, values out, no file. ``saving`` and ``loading`` use them on
a disk; ``node.replication`` uses them on a socket. The append-only file sits beside them and shares the reader and the
writer for its base.
"""
