"""Where a stream's pieces come from; what a source is says `source`.

`llm` is the one there is: it asks an `upstream` by `post`, and turns the bytes of the answer into pieces by `reading`.
A source fills an `Into`, and imports nothing of the delivery behind that. Doors: `source`, `llm.llm`,
`upstream.Upstream`.
"""
