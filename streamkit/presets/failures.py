"""Failures in the provider's own words: finish reasons that are failures, and the shapes of errors that all may send.

A finish reason is one of two things. It says why a whole answer ended where it did (`stop`, `length`, `content_filter`,
`refusal`, `SAFETY`, `RECITATION`, `max_tokens`, `pause_turn`, …): the answer is complete, and the reason is told. Or it
says that the answer broke off: those stand here, and are errors with that word as their code.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

__all__ = ["BROKEN", "CODES", "MESSAGES", "TELLING", "may_fail", "tells_failure"]

BROKEN: Final = frozenset(
    {
        # OpenRouter, Mistral, vLLM, SGLang, watsonx, TGI, and the status of OpenAI's responses
        *("error", "failed", "abort", "aborted", "cancelled", "canceled"),
        *("timeout", "error_toxic", "error_limit", "user_cancel"),  # Cohere, beside ERROR
        "insufficient_system_resource",  # DeepSeek
        *("network_error", "model_error", "server_error", "internal_error", "engine_error"),  # Zhipu, and its like
        # Gemini: what it made was unusable, or it does not say why; the others of its reasons say what was found
        *("other", "malformed_function_call", "unexpected_tool_call", "too_many_tool_calls", "malformed_response"),
        *("missing_thought_signature", "image_other", "no_image"),
        "function_call_filter: malformed_function_call",  # the same, behind its OpenAI endpoint
    }
)
"""Finish reasons, in lower case, that mean a broken answer; compared without regard to case."""

CODES: Final = (
    *("code", "error_code", "errorCode", "err_code", "errcode", "errno", "status_code", "statusCode", "ret", "status"),
)
MESSAGES: Final = (
    *("message", "msg", "error_msg", "error_message", "errorMessage", "err_msg", "errmsg", "status_msg", "detail"),
)
TELLING: Final = frozenset(
    {"error", "errors", "success", "type", "object", "status", "event", "detail", *CODES, *MESSAGES}
)
"""All keys whose values `tells_failure` looks at."""
_SUCCESSES: Final = frozenset({"", "0", "200", "ok", "success", "succeeded", "true", "completed", "in_progress"})
_PROBLEM: Final = frozenset(
    {"type", "title", "status", "detail", "instance", "code", "request_id"}
)  # RFC 9457's, mostly


def may_fail(keys: Container[str], known: Iterable[str]) -> bool:
    """Only an object with such keys can tell a failure by its shape: with none of the preset's own (`known`), or with a
    code and a message beside them.
    """
    if not any(key in keys for key in known):
        return True
    return any(key in keys for key in CODES) and any(key in keys for key in MESSAGES)


def tells_failure(value: Mapping[str, Any]) -> bool:
    """An object in which no rule of a preset finds anything is an error by its shape.

    Shapes, as gateways and frameworks have them: `{"error": …}`, `{"errors": […]}`; `type`, `object`, `status` or
    `event` with the word `error` (or `failed`); `"success": false`; a code that is no success, or a `type` such as
    `server_error`, beside a message; and `{"detail": …}` with no more than RFC 9457's members beside it.
    """
    if value.get("error") or value.get("errors") or value.get("success") is False:
        return True
    words = (value.get(key) for key in ("type", "object", "status", "event"))
    if any(word in ("error", "failed") for word in words if isinstance(word, str)):
        return True
    if value.get("detail") and _PROBLEM.issuperset(value):
        return True
    if not any(isinstance(value.get(key), str) and value[key] for key in MESSAGES):
        return False
    kind = value.get("type")
    names_error = isinstance(kind, str) and kind.lower().endswith(("error", "exception"))
    return names_error or any(_is_failing(key, value[key]) for key in CODES if key in value)


def _is_failing(key: str, code: object) -> bool:
    """`status` is a code only where it is a number: as a word it says how far something has come."""
    if type(code) is int:
        return code not in (0, 200)
    return key != "status" and isinstance(code, str) and code.lower() not in _SUCCESSES
