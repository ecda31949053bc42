"""A load: many requests, each due at its time, sent and recorded, and labelled with what was drawn for it.

    arrivals (when) ┐
    mix (what)      ├─▶ crowd ─▶ target ─▶ record() ─▶ RecordingSet, with what the processes used (watching)
    seed            ┘

`arrivals` and `mix` are pure: the same seed gives the same load. Each recording says when its request was due as well
as when it was sent, so a client that was itself too slow cannot hide it. The doors are the files `load`, `arrivals` and
`kept`.
"""
