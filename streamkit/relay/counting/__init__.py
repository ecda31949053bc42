"""What is counted over all streams, and how Prometheus gets it.

    log, delivery ──▶ Counts ──▶ Metrics ──▶ page.py ──▶ GET /metrics
                                  ▲
                 shared.py ───────┘   the other workers' counts, by files in a folder

Nothing here is about one stream: that is in its log line and its taps.
"""
