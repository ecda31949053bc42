"""The lab: a scripted upstream, bad networks, the relay, a measuring client, and all that can be said about a stream.

    upstream ── net ──▶ relay ── net ──▶ client ──▶ recording ──▶ metrics ──▶ findings ──▶ plots

`Lab` has them all in one object (`lab.lab`; `places`: where its servers run; `server_taps`: what they saw).
`experiments` run several streams to answer one question. The lab knows the product; the product never imports the lab.

Three rules hold in all of its rooms, and for every public name:

Units      What a script plans is in ms, a limit is in s: `Script(gap_ms=…)`, `Latency(ms=…)`, but `Lab(idle_s=…)`,
           `record(total_s=…)`, `Cut(after_s=…)`. What is measured is stored in ns (`at_ns`) and shown in ms. The name
           says the unit; the one exception is httpx's own `timeout`, in s.
Async      Whatever waits for a stream is awaited: `record()`, `lab.post()`, `timeout_map()`. Whatever starts servers or
           measures the machine blocks: `Lab()`, `serve()`, `Link()`, `calibrate()`, `absorbed_bytes()`.
Errors     An argument that makes no sense is a ValueError, one of the wrong type or name a TypeError. Both say what was
           expected, what came, and what to do. ConfigError is for options and environment variables: the relay's
           settings.
"""
