"""Runs a Sanic app on a real socket: in the foreground of a process or of several, in a thread, or in a process of its
own.

    factory ── build() ──▶ app ─┐
                                ├─ run_app() ──▶ answers, until StopRequest.ask() ──▶ grace, cut, clean up
    address ── listen() ──▶ Listener ─┘

Theory of operation. An app can be started only once, so what is given is a *factory*, and `factory.build` makes of it
an app that any thread can start. The socket is bound before anything runs (`listener`): a taken port is an error of the
caller's, and a free one is known at once. `running` is the run itself, on a loop of its own: what Sanic's runner does,
any number of times in a process. Who calls it makes the difference: `foreground.run_forever` in the main thread until a
signal comes; `workers.run_workers` the same in several processes, which Sanic's own manager starts and replaces;
`runner` in a thread, or in a `child` process with a thread that watches it. `registry` knows all that runs here: what a
cell began stops when that cell is run again, and nothing outlives the interpreter.

The doors: `server` (`serve`, `servers`, `Server`), `foreground` (`run_forever`), `workers` (`run_workers`), and for who
runs something else the same way `factory`, `listener`, `running`, `runner` and `registry`.
"""
