"""The audit of any gateway: somebody's proxy stands between our scripted upstream and our recorder, and is asked.

    Gateway ── scenarios ──▶ client, upstream ──▶ Witness ── judging ──▶ Verdict ──▶ Certificate

A `Scenario` is what the upstream does and what the client does; what came of it is a `Witness`, and whether the gateway
did right follows from that alone, by pure functions. Nothing is asked of a gateway but that it passes a question on, in
which a token says what the upstream is to do. The doors: `audit()`, `Gateway`, `Certificate`.
"""

from __future__ import annotations

from streamkit.lab.audit.auditing import audit
from streamkit.lab.audit.certificate import Certificate
from streamkit.lab.audit.gateway import Gateway

__all__ = ["Certificate", "Gateway", "audit"]
