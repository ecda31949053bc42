"""A client that stamps what it reads and makes a Recording of it.

The way of the data: a connection of our own, or somebody else's client (`connections`) → reads, as they come, at a
reader's pace (`pace`), or some at a time (`batch`) → `recorder`: bytes to events (`decoder`, text by `piece_reader`)
and on to whoever listens (`handover`); how it all ended (`ending`, `wire_failure`) → a Recording. Where it was
cut, `course` asks again, as `resume` decides, and `splice` joins the answers. The doors are `resume.Resume`,
`record.record`, `pace.Reader` and `calibrate.calibrate`, which measures how wrong the instrument itself is (as
`looplag` does while it records).
"""
