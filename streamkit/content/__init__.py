"""What an answer's body is: how it is coded, and what it is written in; for whoever reads answers. No I/O.

    head ──▶ head         whether it is an answer, and what its media type says of the body
    body ──▶ codings      which codings lie over it; bytes in, decoded bytes out, bounded
         ──▶ looking      its first bytes: whether they are what was expected; the parser that reads them

Doors: all three.
"""
