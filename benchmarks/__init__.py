"""How fast? Peers measured beside us, in turns and in one run, whose ratios alone mean something. Does it hold:
`campaigns/`.

    python -m benchmarks.parser --quick             # bytes to events, beside other parsers
    python -m benchmarks.extract                    # bytes to pieces, beside other SDKs
    python -m benchmarks.relay --quick              # CPU of the relay for each event, beside other relays
    python -m benchmarks.truth --quick              # how wrong a client's timestamps are, beside other clients
    python -m benchmarks.backpressure --quick       # a slow client: what it costs the relay, and who waits
    python -m benchmarks.dashboard --quick          # a slow client of states: how old is what it reads
    python -m benchmarks.resume --quick             # streams that can be resumed: what they cost, and whether they hold
    python -m benchmarks.upload --quick             # uploads: how fast, in how much memory, how fairly

Without `--quick` they take some minutes; `--help` tells what can be chosen. A goal that is missed is printed as MISSED;
wrong work (another text than the peers') ends the run with an assertion. The peers are installed by
`pip install -e '.[benchmarks]'`: `extract` needs them, the others leave out what is missing; `resume` starts a
redis-server of its own, where one is installed.
"""
