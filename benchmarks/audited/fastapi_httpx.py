"""A relay as one writes it first: FastAPI, httpx, a StreamingResponse, what tutorials show.

UPSTREAM=http://127.0.0.1:9000 uvicorn benchmarks.audited.fastapi_httpx:app --port 8000
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=None)  # noqa: S113  # an answer may take long


async def completions(request: Request) -> StreamingResponse:
    body = await request.body()

    async def pieces() -> AsyncIterator[str]:
        headers = {"content-type": "application/json"}
        async with client.stream("POST", "/v1/chat/completions", content=body, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if line:
                    yield f"{line}\n\n"

    return StreamingResponse(pieces(), media_type="text/event-stream")


app.add_api_route("/v1/chat/completions", completions, methods=["POST"], response_model=None)
