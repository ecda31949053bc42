"""How a stream leaves: a source run into the client's answer, under a policy of back-pressure and all deadlines.

`deliver` runs it; `outlet` hands each list of pieces to the `answer`, or to the queue of its `policy` while the client
is behind; `format` makes bytes of pieces, `relay.deadline` watches both sides, `queues` tells what waits where. It
knows only the protocol of sources. Doors: `deliver.Delivery`, `policy.Policy`, `answer.problem`.
"""
