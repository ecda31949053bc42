"""Fuzz targets for what reads a stranger's bytes: `python -m fuzz --list`, `python -m fuzz sse --minutes 2`.

A target is one function, `check(data: bytes)`, that takes everything from its bytes (`fuzz.source`) and raises
`Finding` where the subject breaks a promise. hypothesis and atheris drive the same functions (`fuzz.engines`).
"""
