"""What a request asks for, as an upstream gets it: a stream or one JSON object, with its usage or without.

The inverse of `streamkit.presets.asking`, as far as the form of an answer depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Asked", "if_wanted", "unless_declined"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as the form of its answer depends on it: its path, its headers, its body if that is a JSON
    object.

        >>> from streamkit.presets.asked import Asked
        >>> sk.preset("openai").write.streams(Asked(body={"model": "m", "messages": []}))
        False
    """

    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usage(self) -> bool:
        """It asks for what the answer costs, by OpenAI's `stream_options: {include_usage: true}`."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True


def unless_declined(asked: Asked) -> bool:
    """Whether a stream is asked for: yes, unless `stream: false` says otherwise."""
    return asked.body.get("stream") is not False


def if_wanted(asked: Asked) -> bool:
    """A stream where `stream: true` says so. What names no model is no question of this API, and gets one as well."""
    stream = asked.body.get("stream")
    return stream is True or (stream is None and "model" not in asked.body)
