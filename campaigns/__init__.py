"""Does it hold? Long, random and hostile runs against real sockets, each with a verdict. How fast: `benchmarks/`.

    python -m campaigns.soak --quick        # many streams through one relay, half of them left: nothing stays behind
    python -m campaigns.faults --quick      # random faults, and requests meant to hurt: nothing broken looks whole
    python -m campaigns.resume --runs 3000  # streams that can be resumed, cut anywhere: nothing lost, nothing doubled
    python -m campaigns.routes --quick      # uploads, jobs, live analysis, sources of one's own: left, cut, ill-treated
    python -m campaigns.compare --quick     # what is the same, compared with itself: how often is it called different?
    python -m campaigns.proxies             # nginx, HAProxy and Caddy, where installed: what they make of a stream
    python -m campaigns.diagnosis           # causes of stutters, made for real: is the one that is named the true one?
    python -m campaigns.losses              # the same of packets that are really lost; Linux, as root
    python -m campaigns.fuzz sse            # bytes that break a promise of a reader; --list names the targets

Without `--quick` the first two do 10,000 streams each, in some minutes, and resume, without `--runs`, 100,000 cuts; a
fuzz target runs for two (`--minutes`). Exit codes: 0 if every claim held; 1 if one is broken, and what is printed says
how to do that one again; 2 for a wrong call; 130 after Ctrl-C. They run from the checkout, and fuzz needs the packages
of the extra `test`.

What they are made of: `visitor`, a client and a reader that owe nothing to the relay's code; `speaker`, an upstream
that takes its script out of the question; `watched`, a relay in a process of its own that tells what lives there;
`heavy`, the requests and answers that are meant to hurt; `canary`, a key that must not turn up anywhere.
"""
