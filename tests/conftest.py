"""What all tests share: settings of hypothesis that do not depend on how busy the machine is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "streamkit",
    settings(),  # where CI=true, hypothesis's own "ci" profile: the same examples in each run
    deadline=None,  # a deadline per example, and the check for slow generation, are assertions of absolute speed
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("streamkit")
