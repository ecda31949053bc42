"""A client that stamps each read and makes a Recording of them.

The way of the data: a connection of our own, or somebody else's client (`connections`) → reads, as they come, at a
reader's pace (`pace`), or several at a time (`batch`) → `recorder`: bytes to events (`decoder`, text by `piece_reader`)
and on to whoever listens (`handover`); how it all ended (`ending`, `wire_failure`) → a Recording. Where it was
cut, `course` asks again, as `resume` decides, and `splice` joins the answers. The doors are `record.record`,
`pace.Reader`, `resume.Resume` and `calibrate.calibrate`, which measures how wrong the instrument itself is (`looplag`
does so while it records).
"""
