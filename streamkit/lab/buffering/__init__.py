"""Which layer on the way to an endpoint holds bytes back: recordings in, a name out; pure.

    releases ──▶ probes ──▶ mechanisms ──▶ holders ──▶ verdict
    layers ─────┘

The recordings are of one request, each with one difference. `releases` says in which portions an answer was let go,
`layers` who is on the way; both together, for one recording, make a probe (`probes`). From all probes follow how bytes
are held (`mechanisms`) and which of the layers holds them like that (`holders`); `verdict` says so, with the evidence
and the fix. `sk.experiments.find_buffering` does the asking.
"""
