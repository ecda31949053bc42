"""Where a stream's pieces come from; what a source is says `source`.

`llm` asks an `upstream` by `post`, and turns the bytes of the answer into pieces by `reading`; `job` is a computation;
`upload` what a processor makes of a body while it comes; `stored` a log that is replayed.
A source fills an `Into`, and imports nothing of the delivery behind that. Doors: `source`, `llm.llm`, `job.Jobs`,
`upload.upload`, `upstream.Upstream`.
"""
