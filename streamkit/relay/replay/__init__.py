"""Streams that can be resumed: each is a log of numbered pieces with its end as a record, and every reader reads that.

`kept` holds pieces in few bytes, `log` is one stream with its readers, `end` how it ended, `store` who keeps the logs
(`memory`, `redis`), `produce` runs a source into a log, `replay` is all of it for one relay. Knows of sources only the
protocol, and of delivery nothing: `streamkit.relay.sources.stored` makes a source of a log.
Doors: `replay.Replay`, `log.Log`, `store.Claim`.
"""
