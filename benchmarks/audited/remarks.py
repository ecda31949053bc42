"""What has to be said beside each certificate: what was run, what can be configured, what was not judged."""

from __future__ import annotations

from typing import Final

__all__ = ["ARTICLE", "FASTAPI", "LITELLM", "NGINX", "OPERATING", "OURS", "RESUME"]

SILENCES: Final = (
    "Longer silences than the one above were not tried: by default it ends them after 60 s before the first "
    "piece (`--first-piece-s`), after 30 s between two (`--idle-s`), and says which."
)
OURS: Final = (
    "As it comes, one worker. It is our own, and was made by the same people as the audit: run it yourself.",
    SILENCES,
    (
        "A status of the upstream that is no refusal of the client's (500) is answered by 502, as RFC 9110 has "
        "it; 429 and 503 are passed on with their Retry-After."
    ),
)
RESUME: Final = (
    (
        "The upstream works on when a client has left, as that one may come back: it is what `--resume` is for, "
        "so it is a fact here and no finding. With nobody there it goes on for 30 s (`--resume-grace-s`)."
    ),
    (
        "Where a stream was cut before its client had read one byte of the answer, the request is sent again with "
        "the same `Idempotency-Key`, and finds the stream that runs."
    ),
    SILENCES,
)
LITELLM: Final = (
    (
        "One model behind an `openai/` route, without a database, cache, guardrails or fallbacks; "
        "`disable_cooldowns` is on, so that a failure that was scripted for one stream is not taken for the "
        "model's in the next. It runs without a master key, on 127.0.0.1 alone."
    ),
    (
        "Requests that fail before the answer begins are tried again, with waits in between (`num_retries`): for "
        "its client that is time. What fails in mid-stream is told as an error event."
    ),
    (
        "Where the upstream's answer ends in clean framing and holds neither `finish_reason` nor `[DONE]`, or "
        "nothing at all, it is ended with both of them. Some compatible servers end so and mean it; a client "
        "behind the proxy cannot tell the two apart."
    ),
    (
        "It ends a stream in which the same piece came a hundred times in a row "
        "(`REPEATED_STREAMING_CHUNK_LIMIT`), which is meant for models that have got stuck; a table or a rule may "
        "look so."
    ),
    (
        "Each answer's head names the model's `api_base`. Whether that matters depends on who reads it; we have "
        "not looked for a way to turn it off."
    ),
    (
        "No timeout was set (`request_timeout`, `stream_timeout`): with one, what never ended here would end. Of a "
        "chunk size that is no number its client is told in some runs, and in most of ours was not."
    ),
)
NGINX: Final = (
    (
        "`proxy_pass` and nothing else: what comes from nginx's defaults. Buffering is on, and pieces are passed "
        "on at once all the same, as nothing else comes meanwhile."
    ),
    (
        "What a client does not read goes to memory and then to a file of up to 1 GB "
        "(`proxy_max_temp_file_size`): so the upstream is not held, and nginx's own memory does not grow. "
        "`proxy_buffering off` holds it, as the next page shows."
    ),
    (
        "By default nginx asks by HTTP/1.0. Our upstream answers in chunks all the same when it plays a fault, so "
        "that a cut can be seen; a server that keeps to HTTP/1.0 sends none, and then only the end marker tells a "
        "cut from an end."
    ),
    "`proxy_read_timeout` is 60 s, and was not reached. `gzip` is off, as it is by default.",
)
OPERATING: Final = (
    "The block of [operating.md](../operating.md#nginx), before a model instead of our relay.",
    "`proxy_read_timeout` is 75 s there, and was not reached.",
)
FASTAPI: Final = (
    (
        "Twenty lines, as tutorials show them, with `timeout=None`, as an answer may take long; with httpx's "
        "default, 5 s of silence would end a stream."
    ),
    (
        "`aiter_lines()` splits as `str.splitlines()` does, at U+2028, U+2029 and U+0085 too, which JSON may hold "
        "as they are: such an event is torn. Reading events by httpx-sse, or passing bytes on, does not."
    ),
    (
        "The status line leaves before the upstream's is known, so a refusal is a 200; what the upstream said "
        "comes as a line of the stream."
    ),
    (
        "Endings are right here because bytes are passed on as they are, and uvicorn cuts the connection when the "
        "generator raises."
    ),
)
ARTICLE: Final = (
    (
        "The code of the article that these notebooks begin with, brought to the Sanic of today "
        "(`streamkit.experiments.naive.article`): `requests`, which blocks, in an asynchronous handler, and "
        "exceptions written into the text. Its upstream speaks the article's format, its client gets text/plain."
    ),
    "As it serves one stream at a time, it was asked for one at a time.",
)
