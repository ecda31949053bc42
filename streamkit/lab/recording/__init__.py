"""Recordings: what came of one streamed answer, and what can be computed from it.

The way of the data: columns of reads and events, made by `lab.client` (`recorded`), joined with what servers saw of the
same stream (`join`, `relay_word`) → curves of one unit (`tap_curves`), columns for pandas (`frames`), numbers
(`summary`, `goodput`), and how far to trust them (`trust`). The door is `streamkit.lab.recording.recording.Recording`,
whose methods call all of these; `file` saves and loads it.

Property or method? A property is part of the recording, or is computed once and kept (`text`, `outcome`, `counted`,
`trust`); a method computes its result at each call (`summary()`, `curves("bytes")`, `to_pandas()`).
"""
