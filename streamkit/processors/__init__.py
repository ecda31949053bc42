"""What is made of bytes that arrive: bytes in, JSON objects out; no I/O, and nothing of HTTP.

Doors: this module, `processors.statistics`.
"""
