"""The relay: what a client asks (`request`), where pieces come from (`sources`), and how they leave (`delivery`).

The way of one read, from the upstream's socket to the client's:

    upstream's socket
      transport.Wire            stamps the read, undoes HTTP's framing
      sources.llm               gets it in that callback, and hands it on in the same
        sources.reading         bytes → events (parser) → pieces (extractor, preset); what is known of the end
      sources.source.Into       the one thing a source knows of where its pieces go: `offer`
    delivery.outlet             room: on. No room: the policy's queue, or the source waits
      delivery.format           pieces → bytes of the media type that the client asked for
      delivery.answer           as one chunk to the connection's transport
    client's socket

No task wakes up on that way. `relay.Relay` sets it up once for each stream, in four lines: a `Stream` (what all parts
share: its id, log record, taps, settings, and whether the server is stopping), what the request asks of its route
(`route.Route`: `asks` has the LLM's and those of your own, `streamkit.shipped` the others), a `Delivery` to the client,
and a source that fills it. Beside it run one timer for all deadlines (`deadline`) and, if the stream is traced, its
taps and gauges. `failure.Failed` ends a stream from anywhere; `log` says how it ended.

Doors: `relay.Relay`, `route`, `asks`, `pieces`, `settings`, `failure`, `delivery.policy`, `delivery.answer`,
`request.connection`; and `sources.source` for writing a source of your own.
"""
