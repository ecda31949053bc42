"""Processors for uploads: bytes in as they arrive, JSON objects out; no I/O, and nothing of HTTP but its media types.

`processor` says what a processor is. `registry` knows by name those that exist; `form` feeds them a body of any media
type, forms included. Live analysis reads `numbers`, and keeps `rolling` statistics of them. Doors: these five.
"""
