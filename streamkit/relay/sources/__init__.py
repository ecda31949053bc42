"""Where a stream's pieces come from; `source` says what a source is.

`llm` asks an `upstream` by `post`, and turns the bytes of the answer into pieces by `reading`; `job` is a computation;
`upload` is what a processor makes of a body while it arrives; `analysis` and `feed` are rolling statistics; `stored` is
a log that is replayed. A source fills an `Into`, and imports nothing of the delivery behind it. Doors: `source`,
`llm.llm`, `job.Jobs`, `upload.upload`, `upstream.Upstream`.
"""
