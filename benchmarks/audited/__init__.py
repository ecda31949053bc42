"""Gateways that are audited as they are found in the wild, ours among them; docs/certificates/ is what came of it.

    python -m benchmarks.audited --list
    python -m benchmarks.audited nginx fastapi            # writes docs/certificates/nginx.md, …, and the index

Each is started here as its own documentation says, with nothing turned on or off beyond what its page tells.
"""
