"""The remarks on each certificate's page: what was run, what can be configured, what was not judged."""

from __future__ import annotations

from typing import Final

__all__ = ["ARTICLE", "FASTAPI", "LITELLM", "NGINX", "OPERATING", "OURS", "RESUME"]

SILENCES: Final = (
    "Silences longer than the one below were not tried: by default the relay ends a stream after 60 s of silence "
    "before the first piece (`--first-piece-s`), or 30 s between two (`--idle-s`), and says which it was."
)
OURS: Final = (
    "In its default configuration, with one worker. It was made by the same people as the audit: run it yourself.",
    SILENCES,
    (
        "If the upstream refuses, with 500 for example, the client gets 502, as RFC 9110 has it for a gateway; only "
        "429 and 503 are passed on, with their Retry-After."
    ),
)
RESUME: Final = (
    (
        "When a client has left, the upstream goes on working, since the client may come back: that is what `--resume` "
        "is for, so here it is noted and not a finding. With nobody there it goes on for 30 s (`--resume-grace-s`)."
    ),
    (
        "If a stream was cut before its client had read one byte of the answer, the request is sent again with "
        "the same `Idempotency-Key`, and gets the stream that is already running."
    ),
    SILENCES,
)
LITELLM: Final = (
    (
        "One model behind an `openai/` route, without a database, cache, guardrails or fallbacks; "
        "`disable_cooldowns` is on, so that a failure scripted for one stream does not count against the "
        "model in the next. It runs without a master key, on 127.0.0.1 alone."
    ),
    (
        "Requests that fail before the answer begins are tried again, with waits in between (`num_retries`), which "
        "costs its client time. A failure in mid-stream reaches the client as an error event."
    ),
    (
        "If the upstream's answer ends in clean framing but holds neither `finish_reason` nor `[DONE]`, or "
        "nothing at all, LiteLLM ends its own answer with both. Some compatible servers do end a whole answer like "
        "that; a client behind the proxy cannot tell the two apart."
    ),
    (
        "It ends a stream in which the same piece came a hundred times in a row "
        "(`REPEATED_STREAMING_CHUNK_LIMIT`). That is meant for models that have got stuck, but the lines of a table "
        "may look like that too."
    ),
    (
        "The head of each answer names the model's `api_base`. Whether that matters depends on who reads it; we have "
        "not looked for a way to turn it off."
    ),
    (
        "No timeout was set (`request_timeout`, `stream_timeout`): with one, the streams that never ended here would "
        "end. After a chunk size that is no number, its client was told of the failure in some of our runs, and in "
        "most it was not."
    ),
)
NGINX: Final = (
    (
        "`proxy_pass` and nothing else: everything else is nginx's default. Buffering is on, but pieces are passed "
        "on at once all the same, since nothing else comes in the meantime."
    ),
    (
        "What a client does not read goes to memory, and then to a file of up to 1 GB "
        "(`proxy_max_temp_file_size`): so the upstream is not held back, and nginx's own memory does not grow. "
        "With `proxy_buffering off` it is held back, as the next page shows."
    ),
    (
        "By default nginx asks the upstream in HTTP/1.0. Ours answers in chunks all the same when it plays a fault, so "
        "that a cut can be seen. A server that keeps to HTTP/1.0 sends no chunks, and then only the end marker tells a "
        "cut from an end."
    ),
    "`proxy_read_timeout` is 60 s, and was not reached. `gzip` is off, as it is by default.",
)
OPERATING: Final = (
    "The block of [operating.md](../operating.md#nginx), in front of a model instead of our relay.",
    "`proxy_read_timeout` is 75 s there, and was not reached.",
)
FASTAPI: Final = (
    (
        "Twenty lines, as tutorials show them, with `timeout=None`, since an answer may take long; with httpx's "
        "default, 5 s of silence would end a stream."
    ),
    (
        "`aiter_lines()` splits as `str.splitlines()` does, at U+2028, U+2029 and U+0085 too. JSON may contain these "
        "unescaped, and an event that does is torn. Reading events with httpx-sse, or passing bytes on, tears none."
    ),
    (
        "The status line leaves before that of the upstream is known, so a refusal arrives as a 200; what the upstream "
        "said comes as a line of the stream."
    ),
    (
        "Endings are right here because bytes are passed on as they are, and uvicorn cuts the connection when the "
        "generator raises."
    ),
)
ARTICLE: Final = (
    (
        "The code of the article that the notebooks begin with, adapted to today's Sanic "
        "(`streamkit.experiments.naive.article`): it uses `requests`, which blocks, in an asynchronous handler, and "
        "writes exceptions into the text. Its upstream speaks the article's format; its client gets text/plain."
    ),
    "Since it serves one stream at a time, it was asked for one at a time.",
)
