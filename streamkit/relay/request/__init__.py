"""What a client asks: its connection, its head, its body, and the fields in that.

A request comes in through `connection`, which lets `head` judge it before Sanic reads it; `receive` reads its body in
time and within bounds, and `body` takes the fields out of it; `arriving` gives on a body while it comes, and `digest`
says whether it is what was sent; `pages` says which web pages may ask at all. Whatever is wrong is a `Failed` with a
status and a code. Doors: `connection.Connection` and `RelayApp`, `pages.Admission`, `receive.receive_fields`,
`arriving.arriving`. Knows nothing of sources or answers.
"""
