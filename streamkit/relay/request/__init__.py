"""What a client asks: its connection, the request's head and body, and the fields in it.

A request comes in through `connection`, which lets `head` check it before Sanic reads it. `receive` reads its body in
time and within bounds, and `body` takes the fields out of it; `arriving` passes on a body while it comes, and `digest`
checks that it is what was sent; `pages` says which web pages may ask at all. Whatever is wrong becomes a `Failed` with
a status and a code. This room knows nothing of sources or answers. Doors: `connection.Connection` and `RelayApp`,
`pages.Admission`, `receive.receive_fields`, `arriving.arriving`.
"""
