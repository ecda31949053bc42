"""Which layer on the way to an endpoint holds bytes back: recordings that differ in one thing in, a name out; pure.

    releases ──▶ probes ──▶ mechanisms ──▶ holders ──▶ verdict
    layers ─────┘

`releases` says in which portions an answer was let go, `layers` who is on the way; both of one recording make a probe
(`probes`). What the probes show together is how bytes are held (`mechanisms`), which of the layers holds like that
(`holders`), and `verdict` says it, with what speaks for it and what mends it. The asking is done by
`sk.experiments.find_buffering`.
"""
