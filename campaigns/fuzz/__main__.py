"""`python -m campaigns.fuzz TARGET --minutes 2 [--seed N] [--engine atheris]`, `--replay FILE`, `--list`.

Exit codes: 0 for no finding, 1 for one (its input is in a file that --replay takes), 2 for a wrong call, 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from campaigns.fuzz.engines import NotInstalled, Run, atheris_for, hypothesis_for

NAMES = ("sse", "ndjson", "extract", "http", "form", "stream")  # a test keeps it equal to TARGETS, imported on use


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m campaigns.fuzz", description="Look for bytes that break a promise.")
    made.add_argument("target", nargs="?", choices=NAMES, help="what is fed; see --list")
    made.add_argument("--list", action="store_true", help="show the targets")
    made.add_argument("--minutes", type=float, default=2.0, help="how long (default: %(default)g)")
    made.add_argument("--seed", type=int, help="of the first round; the next one has the next (default: a random one)")
    made.add_argument("--engine", choices=("hypothesis", "atheris"), default="hypothesis")
    made.add_argument("--replay", type=Path, metavar="FILE", help="run the target once, on what a run has written")
    made.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="for findings (default: here)")
    return made


def main(words: Sequence[str]) -> int:
    options = parser().parse_args(words)
    if options.list:
        return show_targets()
    if options.target is None:
        parser().error("expected a target, or --list")
    if options.minutes <= 0:
        parser().error(f"expected --minutes above 0, got {options.minutes:g}")
    if options.replay is not None:
        return replay(options.target, options.replay)
    return fuzz(options)


def show_targets() -> int:
    from campaigns.fuzz.targets import TARGETS

    for target in TARGETS.values():
        print(f"{target.name:<8}{target.about}")
    return 0


def replay(name: str, path: Path) -> int:
    from campaigns.fuzz.targets import TARGETS

    try:
        data = path.read_bytes()
    except OSError as error:
        print(f"expected a file that a run has written as --replay: {error.strerror}: {path}", file=sys.stderr)
        return 2
    try:
        TARGETS[name].check(data)
    except Exception:  # noqa: BLE001  # whatever the subject raises is the finding
        traceback.print_exc()
        return 1
    print(f"{name}: nothing is wrong with {path}")
    return 0


def fuzz(options: argparse.Namespace) -> int:
    seed = random.randrange(1, 1 << 31) if options.seed is None else options.seed
    print(f"{options.target}: {options.minutes:g} min, engine {options.engine}, --seed {seed}", flush=True)
    run, began = Run(), time.monotonic()

    def done() -> int:
        return report(options.target, run, time.monotonic() - began, options.out)

    try:
        if options.engine == "atheris":
            atheris_for(options.target, run, options.minutes * 60, seed, done)
        else:
            from campaigns.fuzz.targets import TARGETS

            hypothesis_for(TARGETS[options.target], run, options.minutes * 60, seed)
    except NotInstalled as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return done() or 128 + signal.SIGINT
    return done()


def report(name: str, run: Run, seconds: float, folder: Path) -> int:
    """The finding, if there is one, and one line for the run."""
    if run.finding is not None:
        path = folder / f"fuzz-{name}-{hashlib.sha256(run.finding).hexdigest()[:12]}.bin"
        path.write_bytes(run.finding)
        traceback.print_exception(run.why)
        print(f"found: python -m campaigns.fuzz {name} --replay {path}")
    found = int(run.finding is not None)
    print(
        f"{name}: {run.examples} examples, {found} findings, {seconds:.0f} s ({run.examples / seconds:.0f}/s)",
        flush=True,
    )
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
