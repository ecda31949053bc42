"""A comparison: several targets asked in turns, round by round, so that what the hour does falls on all of them alike.

    targets ──▶ rounds, each in an order of its own (sweep/schedule) ──▶ record(), one at a time ──▶ findings/comparing
                                                                                                       │
                                                                        a verdict, and all recordings: Comparison

What is asked is asked as by a load (`load/targets`, `load/mix`): here of one target at a time, and never two at once.
Doors: `asking` (`sk.compare`) and `kept`.
"""
