"""A comparison: several targets asked in turns, round by round, so that conditions that change affect them all alike.

    targets ──▶ rounds, each in an order of its own (sweep/schedule) ──▶ record(), one at a time ──▶ findings/comparing
                                                                                                       │
                                                                        a verdict, and all recordings: Comparison

Targets are asked as by a load (`load/targets`, `load/mix`), but one at a time, never two at once. The doors: `asking`
(`sk.compare`) and `kept`.
"""
