"""The audit of any gateway: somebody's proxy is put between our scripted upstream and our recorder, and judged.

    Gateway ── scenarios ──▶ client, upstream ──▶ Witness ── judging ──▶ Verdict ──▶ Certificate

A `Scenario` is what the upstream and the client do; what both of them saw is a `Witness`, and whether the gateway did
right follows from that alone, by pure functions. All a gateway has to do is pass on the question, in which a token
tells the upstream what to do. The doors: `audit()`, `Gateway`, `Certificate`.
"""

from __future__ import annotations

from streamkit.lab.audit.auditing import audit
from streamkit.lab.audit.certificate import Certificate
from streamkit.lab.audit.gateway import Gateway

__all__ = ["Certificate", "Gateway", "audit"]
