"""Where a stall was, from the client alone: columns in, the causes out, each with what speaks for it; pure.

    seen ──▶ halts ──▶ own, way, source (what each halt was) ──▶ rhythm (all of them together) ──▶ rules ──▶ Diagnosis
                                                                          several streams ──▶ several ──▶ Diagnosis

`seen.Seen` is what one recording has (`lab/recording` makes it), `halts` finds where its reader had to wait and
measures what was there in each wait. Then one small function a cause: `own` (this client), `way` (what lies between),
`source` (who sends), `rhythm` (what many halts have in common, and what comes in bunches), `several` (a server that
serves one after the other). `rules` is the one table that says in which order they are tried, by which thresholds, and
why each.

A wrong name is worse than none: what no rule is sure of is `unknown`, and says what was seen.
`python -m campaigns.diagnosis` holds the rules against scripted causes.
"""
