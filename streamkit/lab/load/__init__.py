"""A load: many requests, each due at a time, sent, recorded, and told apart by what was drawn for it.

    arrivals (when) ┐
    mix (what)      ├─▶ crowd ─▶ target ─▶ record() ─▶ RecordingSet, with what the processes used (watching)
    seed            ┘

Pure are arrivals and mix: the same seed gives the same load. What was due when stands in each recording beside when it
was sent, so that a client that was too slow itself cannot hide it. These are the doors: `load` and its files `load`,
`arrivals`, `kept`.
"""
