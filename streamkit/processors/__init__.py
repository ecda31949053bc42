"""What is made of bytes that arrive: bytes in, JSON objects out; no I/O, and nothing of HTTP but its media types.

What a processor is says `processor`. `registry` knows those there are, by name; `form` feeds them with a body of this
or that media type. Live analysis reads `numbers`, and keeps `rolling` statistics of them. Doors: these five.
"""
