"""Runs a Sanic app on a real socket: in the foreground, in several processes, in a thread, or in a process of its own.

    factory ── build() ──▶ app ─┐
                                ├─ run_app() ──▶ answers, until StopRequest.ask() ──▶ grace, cut, clean up
    address ── listen() ──▶ Listener ─┘

Theory of operation. An app can be started only once, so callers give a *factory*, from which `factory.build` makes an
app that any thread can start. The socket is bound before anything runs (`listener`): so a taken port is an error in the
caller, and a free one is known at once. `running` is the run itself, on a loop of its own: what Sanic's runner does,
but any number of times in a process. It is called by `foreground.run_forever`, in the main thread until a signal comes;
by `workers.run_workers`, the same in several processes, which Sanic's own manager starts and replaces; and by `runner`,
in a thread, or in a `child` process with a thread that watches it. `registry` knows all that runs here: what a cell
began stops when that cell is run again, and nothing outlives the interpreter.

The doors: `server` (`serve`, `servers`, `Server`), `foreground` (`run_forever`), `workers` (`run_workers`); and, to run
something else in the same way, `factory`, `listener`, `running`, `runner` and `registry`.
"""
