"""What the presets' tests share: events, and JSON that looks like theirs."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from streamkit.parser import ServerSentEvent

PLAIN = {"replicate", "sse-text"}
"""The presets whose data are the text itself, and no JSON."""


def event(data: object, kind: str = "message") -> ServerSentEvent:
    return ServerSentEvent(kind, data if isinstance(data, str) else json.dumps(data))


def chunk(delta: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None} | choice],
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["error", "stop", "delta", "x"]) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "error",
                    "code",
                    "type",
                    "message",
                    "output",
                    "text",
                    "candidates",
                    "parts",
                    "index",
                    "data",
                    "value",
                    "done",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


KINDS = st.sampled_from(["message", "error", "done", "output", "conversation.message.delta", "x"])


COHERE = """\
event: message-start
data: {"id":"i","type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}

event: content-start
data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Tea"}}}}

event: citation-start
data: {"type":"citation-start","index":0,"delta":{"message":{"citations":{"text":"no"},"content":{"text":"no"}}}}

event: content-end
data: {"type":"content-end","index":0}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"output_tokens":1}}}}

data: [DONE]

"""
