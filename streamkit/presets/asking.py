"""How each provider's upstream is asked: from a `chat_history` to headers, body and query of one POST.

The upstream's URL is the operator's full endpoint and is not built here. Models and limits have defaults that a fresh
account can use; `extra` fields are merged into the body and win over everything else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlencode

import orjson

from streamkit.errors import ConfigError

__all__ = [
    "Ask",
    "Compatible",
    "Question",
    "UpstreamRequest",
    "anthropic",
    "azure",
    "cohere",
    "coze",
    "dashscope",
    "form",
    "gemini",
    "huggingface",
    "mistral",
    "ollama",
    "openai",
    "openai_responses",
    "replicate",
    "watsonx",
    "without_system",
]

Body: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]

SYSTEM_ROLES = {"system", "developer"}
JSON_BODY = {"content-type": "application/json"}
ANTHROPIC_VERSION = "2023-06-01"
ANTHROPIC_MAX_TOKENS = 4096  # the API demands a limit; every model it serves today can write this much
COZE_USER = "streamkit"  # the API demands a user's name, and only keeps users apart by it


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One POST to an upstream. `params` go into the query of its URL. The repr shows no header's value, no text.

    >>> sk.preset("openai").request("hi", key="sk-1").headers["authorization"]
    'Bearer sk-1'
    """

    headers: dict[str, str]
    content: bytes
    params: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<UpstreamRequest {len(self.content)} bytes, headers {', '.join(self.headers)}>"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `chat_history` is the user's text, or a conversation as a JSON list of messages.

        >>> from streamkit.presets.asking import Question, ollama
        >>> ollama(Question("hi", model="qwen3")).content
        b'{"model":"qwen3","messages":[{"role":"user","content":"hi"}],"stream":true}'

    `key` is the provider's API key, `model` the model (for Coze, the bot's id), `accept` the media type of the
    stream, `extra` further fields of the body.

    Raises ConfigError for a key that no HTTP header can carry.
    """

    chat_history: str
    key: str | None = field(default=None, repr=False)
    model: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    accept: str = "text/event-stream"

    def __post_init__(self) -> None:
        whole = self.chat_history.encode("utf-8", "replace").decode()  # a lone surrogate has no UTF-8: it becomes "?"
        object.__setattr__(self, "chat_history", whole)
        key = (self.key or "").strip()  # files that hold a key end in a newline
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("expected the upstream's key as printable ASCII, got other characters in it")
        object.__setattr__(self, "key", key or None)

    def messages(self) -> list[Message]:
        """The conversation: `chat_history` itself if it is a JSON list of messages, else one message of the user's."""
        value = None
        if self.chat_history.lstrip().startswith("["):  # an error would cost as much as all the rest
            with contextlib.suppress(orjson.JSONDecodeError):
                value = orjson.loads(self.chat_history)
        if isinstance(value, list) and value and all(_is_message(item) for item in value):
            return value
        return [{"role": "user", "content": self.chat_history}]

    def bearer(self) -> dict[str, str]:
        """The header of OAuth 2.0 bearer tokens (RFC 6750), or none without a key."""
        return self.key_in("authorization", "Bearer ")

    def key_in(self, header: str, before: str = "") -> dict[str, str]:
        """The header that carries the key, or none without a key."""
        return {header: before + self.key} if self.key else {}

    def post(self, body: Body, headers: Mapping[str, str], params: Mapping[str, str] | None = None) -> UpstreamRequest:
        """The request with `body` as JSON; raises ConfigError where `extra` holds what JSON cannot."""
        try:
            content = orjson.dumps(merged(body, self.extra))
        except TypeError as error:
            raise ConfigError(f"expected extra fields that JSON can carry: {error}") from None
        return UpstreamRequest(self._headers(JSON_BODY | dict(headers)), content, dict(params or {}))

    def post_form(self, fields: Mapping[str, object]) -> UpstreamRequest:
        """The request with `fields` as an urlencoded form (WHATWG URL §5), UTF-8."""
        content = urlencode({**fields, **self.extra}, encoding="utf-8", errors="replace").encode("ascii")
        return UpstreamRequest(
            self._headers({"content-type": "application/x-www-form-urlencoded"} | self.bearer()), content
        )

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        # Compressed streams arrive in lumps, and a decompressor is a way to fill our memory.
        return {"accept": self.accept, "accept-encoding": "identity", **headers}


Ask: TypeAlias = Callable[[Question], UpstreamRequest]


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("role"), str) and "content" in item


def plain_text(content: object) -> str:
    """The text of a message's content: a string, or a list of parts of which some hold text."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return "".join(text for text in texts if isinstance(text, str))


def as_prompt(messages: list[Message]) -> str:
    """The conversation as one text, for models that know no messages."""
    if len(messages) == 1:
        return plain_text(messages[0]["content"])
    return "\n\n".join(f"{message['role']}: {plain_text(message['content'])}" for message in messages)


def merged(body: Body, extra: Mapping[str, object]) -> Body:
    """`body` with the fields of `extra`; where both hold an object, theirs are merged too."""
    result = dict(body)
    for name, value in extra.items():
        mine = result.get(name)
        result[name] = merged(mine, value) if isinstance(mine, dict) and isinstance(value, Mapping) else value
    return result


def without_system(messages: list[Message]) -> tuple[str, list[Message]]:
    """The instructions (the texts of system messages), and the conversation."""
    instructions = [plain_text(message["content"]) for message in messages if message["role"] in SYSTEM_ROLES]
    return "\n\n".join(instructions), [message for message in messages if message["role"] not in SYSTEM_ROLES]


def form(question: Question) -> UpstreamRequest:
    """How the article's upstream, and our own relay, are asked: `chat_history` as a form field."""
    model = {"model": question.model} if question.model else {}
    return question.post_form({"chat_history": question.chat_history, **model})


@dataclass(frozen=True, slots=True)
class Compatible:
    """POST …/chat/completions of whoever has OpenAI's shape and models of its own: `provider`, who has no default one.

    Raises ConfigError for a question that names no model.

        >>> sk.preset("groq").request("hi", model="llama-3.1-8b-instant").content[:31]
        b'{"model":"llama-3.1-8b-instant"'
    """

    provider: str

    def __call__(self, question: Question) -> UpstreamRequest:
        if not (question.model or question.extra.get("model")):
            raise ConfigError(
                f"expected model=, the name of a model that {self.provider} serves, got none: "
                "pass model= (--model, STREAMKIT_MODEL); there is no default for it"
            )
        return openai(question)


def _chat(question: Question, default_model: str) -> Body:
    return {"model": question.model or default_model, "messages": question.messages(), "stream": True}


def openai(question: Question) -> UpstreamRequest:
    """POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat/create"""
    return question.post(_chat(question, "gpt-4o-mini"), question.bearer())


def openai_responses(question: Question) -> UpstreamRequest:
    """POST /v1/responses: https://platform.openai.com/docs/api-reference/responses/create"""
    body = {"model": question.model or "gpt-4o-mini", "input": question.messages(), "stream": True}
    return question.post(body, question.bearer())


def azure(question: Question) -> UpstreamRequest:
    """POST /openai/deployments/…/chat/completions: as OpenAI, but the key has a header of its own."""
    return question.post(_chat(question, "gpt-4o-mini"), question.key_in("api-key"))


def mistral(question: Question) -> UpstreamRequest:
    """POST /v1/chat/completions: https://docs.mistral.ai/api/"""
    return question.post(_chat(question, "mistral-small-latest"), question.bearer())


def cohere(question: Question) -> UpstreamRequest:
    """POST /v2/chat: https://docs.cohere.com/reference/chat-stream"""
    return question.post(_chat(question, "command-a-03-2025"), question.bearer())


def ollama(question: Question) -> UpstreamRequest:
    """POST /api/chat: https://github.com/ollama/ollama/blob/main/docs/api.md; message contents are strings there."""
    messages = [message | {"content": plain_text(message["content"])} for message in question.messages()]
    return question.post(_chat(question, "llama3.2") | {"messages": messages}, question.bearer())


def anthropic(question: Question) -> UpstreamRequest:
    """POST /v1/messages: https://docs.anthropic.com/en/api/messages; system messages stand outside of the list."""
    system, messages = without_system(question.messages())
    body = {
        "model": question.model or "claude-haiku-4-5",
        "max_tokens": ANTHROPIC_MAX_TOKENS,
        **({"system": system} if system else {}),
        "messages": messages,
        "stream": True,
    }
    return question.post(body, {"anthropic-version": ANTHROPIC_VERSION} | question.key_in("x-api-key"))


def gemini(question: Question) -> UpstreamRequest:
    """POST …/models/MODEL:streamGenerateContent: https://ai.google.dev/api/generate-content

    The model stands in the URL; `alt=sse` makes it answer as an event stream instead of one growing JSON array.
    """
    system, messages = without_system(question.messages())
    body: Body = {"systemInstruction": {"parts": [{"text": system}]}} if system else {}
    body["contents"] = [
        {
            "role": "model" if message["role"] in {"assistant", "model"} else "user",
            "parts": [{"text": plain_text(message["content"])}],
        }
        for message in messages
    ]
    return question.post(body, question.key_in("x-goog-api-key"), {"alt": "sse"})


def dashscope(question: Question) -> UpstreamRequest:
    """POST /api/v1/services/aigc/text-generation/generation: https://help.aliyun.com/zh/model-studio/

    Without `incremental_output` each event would repeat the whole text so far.
    """
    body = {
        "model": question.model or "qwen-plus",
        "input": {"messages": question.messages()},
        "parameters": {"incremental_output": True},
    }
    return question.post(body, {"x-dashscope-sse": "enable"} | question.bearer())


def replicate(question: Question) -> UpstreamRequest:
    """POST /v1/…/predictions: https://replicate.com/docs/topics/predictions/streaming

    Replicate itself answers with a prediction, whose `urls.stream` is then to be read by GET; this request suits
    a gateway that takes both steps.
    """
    system, messages = without_system(question.messages())
    body = {
        **({"version": question.model} if question.model else {}),
        "input": {"prompt": as_prompt(messages), **({"system_prompt": system} if system else {})},
        "stream": True,
    }
    return question.post(body, question.bearer())


def coze(question: Question) -> UpstreamRequest:
    """POST /v3/chat: https://www.coze.com/docs/developer_guides/chat_v3

    `model` is the bot's id. There is no default: without it, Coze answers that `bot_id` is missing.
    """
    messages = [
        {"role": message["role"], "content": plain_text(message["content"]), "content_type": "text"}
        for message in question.messages()
    ]
    body = {
        **({"bot_id": question.model} if question.model else {}),
        "user_id": COZE_USER,
        "additional_messages": messages,
        "stream": True,
    }
    return question.post(body, question.bearer())


def watsonx(question: Question) -> UpstreamRequest:
    """POST /ml/v1/text/generation_stream?version=…: https://cloud.ibm.com/apidocs/watsonx-ai

    `key` is an IAM token. The API also wants a `project_id` or `space_id`: give it as an extra field.
    """
    body = {"model_id": question.model or "ibm/granite-3-3-8b-instruct", "input": as_prompt(question.messages())}
    return question.post(body, question.bearer())


def huggingface(question: Question) -> UpstreamRequest:
    """POST /generate_stream of Text Generation Inference: https://huggingface.github.io/text-generation-inference/"""
    return question.post({"inputs": as_prompt(question.messages()), "stream": True}, question.bearer())
