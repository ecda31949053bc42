"""The relay: what a client asks (`request`), where the pieces come from (`sources`), how they leave (`delivery`).

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

No task wakes up on that way. It is set up once for each stream by `relay.Relay`, in four lines: a `Stream` (what all
parts share: its id, log record, taps, settings, and whether the server stops), what the request asks of its route
(`route.Route`: `asks` knows the LLM's and those of your own, `streamkit.shipped` the others), a `Delivery` to the
client, and a source into that. Beside the way run one timer for all deadlines (`delivery.deadline`)
and, where the stream is traced, its taps and gauges. `failure.Failed` ends a stream from anywhere; `log` tells how.

Doors: `relay.Relay`, `route`, `asks`, `pieces`, `settings`, `failure`, `delivery.policy`, `delivery.answer`,
`request.connection`; and for whoever writes a source, `sources.source`.
"""
