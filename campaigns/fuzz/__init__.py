"""Fuzz targets for what reads a stranger's bytes.

    python -m campaigns.fuzz --list
    python -m campaigns.fuzz sse --minutes 2

A target is one function, `check(data: bytes)`, that takes everything from its bytes (`source`) and raises
`Finding` where the subject breaks a promise. hypothesis and atheris drive the same functions (`engines`).
"""
