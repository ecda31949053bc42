"""What is counted of all streams, and how Prometheus is told of it.

log, delivery ──▶ Counts ──▶ Metrics ──▶ page.py ──▶ GET /metrics
                              ▲
             shared.py ───────┘   the other workers' counts, by files in a folder
"""
