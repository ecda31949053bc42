"""Why a stream stuttered, as far as its client can tell: columns in, causes out, each with its evidence; pure.

    seen ──▶ halts ──▶ own, way, source (what each halt was) ──▶ rhythm (all of them together) ──▶ rules ──▶ Diagnosis
                                                                          several streams ──▶ several ──▶ Diagnosis

`seen.Seen` is what is known from one recording (`lab/recording` makes it); `halts` finds where its reader had to wait,
and measures what happened in each wait. Then there is one small function for each cause: `own` (this client), `way`
(what lies between), `source` (the sender), `rhythm` (what many halts have in common, and what comes in bunches),
`several` (a server that serves one stream after the other). `rules` is the one table that says in which order they are
tried, with which thresholds, and why.

A wrong name is worse than none: what no rule is sure of is `unknown`, with what was seen.
`python -m campaigns.diagnosis` tests the rules on scripted causes.
"""
