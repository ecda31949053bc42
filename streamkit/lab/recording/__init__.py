"""What came of one streamed answer, and what it can tell.

The way of the data: columns of reads and events, made by `lab.client` (`recorded`), with what servers saw of the same
stream (`join`, `relay_word`) → curves of one unit (`tap_curves`), columns for pandas (`frames`), numbers (`summary`,
`goodput`), and how far to trust them (`trust`). The door is `streamkit.lab.recording.recording.Recording`, which asks
all of them; `file` keeps it.

Property or method: what is looked at is a property (`text`, `outcome`, `counted`, `trust`: it costs once, and is kept),
what is asked for, and made anew each time, is a method (`summary()`, `curves("bytes")`, `to_pandas()`).
"""
