"""What an answer's body is: how it is coded, and which grammar it is written in. No I/O.

    head ──▶ head         whether it is an answer, and what its media type says about the body
    body ──▶ codings      which codings it is under; bytes in, decoded bytes out, bounded
         ──▶ looking      its first bytes: whether they are what was expected, and the parser that reads them

Doors: all three.
"""
