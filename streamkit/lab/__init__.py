"""The lab: a scripted upstream, bad networks, the relay, a measuring client, and what can be told of a stream.

    upstream ── net ──▶ relay ── net ──▶ client ──▶ recording ──▶ metrics ──▶ findings ──▶ plots

`Lab` has them in one object (`lab.lab`; `places`: where its servers run; `server_taps`: what they saw). `experiments`
are several streams with one question. The lab knows the product; the product never imports it.

Three rules hold in all of its rooms, and on the whole surface:

Units      What is scripted is in ms, what limits is in s: `Script(gap_ms=…)`, `Latency(ms=…)`, but `Lab(idle_s=…)`,
           `record(total_s=…)`, `Cut(after_s=…)`. What is measured is kept in ns (`at_ns`), and told in ms. The unit
           stands in the name; httpx's own `timeout` is the exception, in s.
Async      What waits for a stream is awaited: `record()`, `lab.post()`, `timeout_map()`. What measures or starts the
           machine blocks: `Lab()`, `serve()`, `Link()`, `calibrate()`, `absorbed_bytes()`.
Errors     An argument that makes no sense is a ValueError, one of a wrong kind or name a TypeError; both say what was
           expected, what came, and what to do. ConfigError is for options and the environment: the relay's settings.
"""
