"""`streamkit compare`: servers asked in turns, or saved recordings; one sentence, a table or JSON, a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamkit.cli.arguments import count, from_none, objective
from streamkit.cli.files import load_sets
from streamkit.cli.output import check_file, check_picture, draw, note, seen_at_once
from streamkit.cli.request import add_question, check_url, question_of
from streamkit.cli.stopping import INTERRUPTED, stoppable
from streamkit.errors import ConfigError

if TYPE_CHECKING:
    from streamkit.lab.findings.comparison import Comparison
    from streamkit.lab.sets import RecordingSet

__all__ = ["add_compare"]


def add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="is one streaming endpoint slower than another, and is that sure?",
        description="Ask servers in turns: each once a round, and each round in an order of its own. Given saved "
        "recordings, ask nobody, and compare what they show. Exit status: 0 if all was decided, a difference or none; "
        "1 if something could not be, as with too few runs or many failures; 2 for a wrong argument; 130 for Ctrl-C "
        "and 143 for SIGTERM, which compare what is there.",
    )
    compare.add_argument(
        "targets",
        nargs="+",
        metavar="[NAME=]URL|FILE",
        help="two servers or more; or files of recordings: one for each target, or one in which labels tell them apart",
    )
    compare.add_argument("--runs", type=count, default=40, metavar="N", help="how many rounds (default: %(default)s)")
    compare.add_argument(
        "--metric", default="ttft", metavar="NAME", help="ttft, duration, gap_p50, gap_p99, stalls, … (default: ttft)"
    )
    compare.add_argument(
        "--slo", type=objective, metavar="ttft=MS,gap=MS", help="compare which share of the runs kept this objective"
    )
    compare.add_argument("--at", metavar="P", type=_at, help="a percentile of the runs, or mean (default: 50)")
    compare.add_argument(
        "--against", metavar="NAME", help="the target to compare the others with, or 'best' (default: the first)"
    )
    compare.add_argument(
        "--by",
        default="label",
        metavar="LABEL",
        help="with one file: the label that tells its runs apart (default: label)",
    )
    compare.add_argument("--seed", type=from_none, default=0, metavar="N", help="for everything random (default: 0)")
    add_question(compare)
    compare.add_argument("--json", action="store_true", help="show one JSON object instead of a table (a body: --body)")
    compare.add_argument("--save", "--out", type=Path, metavar="FILE", help="save all recordings (JSON Lines)")
    compare.add_argument("--plot", type=Path, metavar="FILE", help="draw the comparison (.png, .svg, .pdf)")
    compare.set_defaults(command=_compare)


def _at(given: str) -> int | str:
    if given == "mean":
        return given
    number = count(given)
    if number > 99:
        raise argparse.ArgumentTypeError(f"expected a percentile from 1 to 99, or mean, got {given!r}")
    return number


@stoppable
def _compare(arguments: argparse.Namespace) -> int:
    if arguments.save is not None:
        check_file(arguments.save)
    if arguments.plot is not None:
        check_picture(arguments.plot)
    try:
        compared, interrupted = _compared(arguments)
    except (ValueError, TypeError) as error:  # names and numbers that do not fit what is compared
        raise ConfigError(str(error)) from error
    _show(compared, arguments)
    if interrupted:
        return INTERRUPTED
    return 1 if any(each.verdict == "cannot decide" for each in compared.others) else 0


def _compared(arguments: argparse.Namespace) -> tuple[Comparison, bool]:
    """The comparison, and whether Ctrl-C ended it: then it is of the rounds that were over."""
    urls = ["://" in each for each in arguments.targets]
    if not any(urls):
        return _of_files(arguments), False
    if not all(urls):
        raise ConfigError("expected servers, or files of recordings, got both: save what the servers give, --save FILE")
    return _of_servers(arguments)


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "metric": arguments.metric if arguments.slo is None else arguments.slo,
        "at": arguments.at,
        "against": arguments.against,
        "seed": arguments.seed,
    }


def _of_servers(arguments: argparse.Namespace) -> tuple[Comparison, bool]:
    from streamkit.lab.compare.asking import compare
    from streamkit.lab.compare.kept import last_comparison
    from streamkit.lab.run import run

    targets = _named([_url(each) for each in arguments.targets])
    try:
        asked = compare(
            targets,
            runs=arguments.runs,
            prompts=arguments.prompt,
            progress=seen_at_once(),
            **_asked(arguments),
            **question_of(arguments, list(targets.values())),
        )
        return run(asked), False
    except KeyboardInterrupt as error:
        if (kept := last_comparison(of=error)) is None:
            raise
        return kept, True


def _url(given: str) -> tuple[str, str]:
    """Its name, and the URL, of which only what is public is a name."""
    from streamkit.lab.client.connections import public_url

    name, equals, url = given.partition("=")
    if not equals or "://" in name:
        name, url = "", given
    check_url(url)
    return name or public_url(url), url


def _named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, _ in pairs if [each for each, _ in pairs].count(name) > 1)
        raise ConfigError(f"expected a name for each, got {twice!r} twice: give them as a={twice} b={twice}")
    return found


def _of_files(arguments: argparse.Namespace) -> Comparison:
    from streamkit.lab.findings.comparing import compare

    pairs = [_file(each) for each in arguments.targets]
    if len(pairs) == 1:
        _check_told_apart(*pairs[0], arguments.by)
        return compare(pairs[0][1], by=arguments.by, **_asked(arguments))
    return compare(_named(pairs), **_asked(arguments))


def _check_told_apart(name: str, recordings: RecordingSet, by: str) -> None:
    """One file has to say which of its runs are whose."""
    if len(recordings.by(by)) > 1:
        return
    found = "a single one" if len(recordings) == 1 else f"{len(recordings):,} that have the same {by!r}"
    raise ConfigError(
        f"expected two files, or one of runs with different labels (record --label gives them, --by names one); {name} "
        f"holds {found}"
    )


def _file(given: str) -> tuple[str, RecordingSet]:
    name, equals, path = given.partition("=")
    if not equals or Path(given).exists():
        name, path = "", given
    return name or Path(path).stem, load_sets([Path(path)])[0]


def _show(compared: Comparison, arguments: argparse.Namespace) -> None:
    if arguments.json:
        import orjson

        print(orjson.dumps(compared.as_dict(), option=orjson.OPT_INDENT_2).decode())
    else:
        print(compared)
    if arguments.save is not None:
        from streamkit.lab.sets import RecordingSet

        RecordingSet(run for each in compared.recordings.values() for run in each).save(arguments.save)
        note(f"recordings: {arguments.save.resolve()}")
    if arguments.plot is not None:
        draw(compared, "compare", arguments.plot)  # type: ignore[arg-type]  # this figure is of a comparison
