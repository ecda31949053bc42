"""Streams that can be resumed: each is a log of numbered pieces, with its end as a record, from which all answers read.

`kept` holds pieces in few bytes, `log` is one stream with its readers, `end` says how it ended, a `store` keeps the
logs (`memory`, `redis`), `produce` runs a source into a log, and `replay` is all of this for one relay. It knows only
the protocol of sources, and nothing of delivery: `streamkit.relay.sources.stored` makes a source of a log.
Doors: `replay.Replay`, `log.Log`, `store.Claim`.
"""
