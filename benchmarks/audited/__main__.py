"""`python -m benchmarks.audited [NAME …]`: audit, and write a page for each, and the index of all."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.audited.gateways import AUDITED, Audited
from streamkit.lab.audit import Certificate, audit
from streamkit.lab.audit.scenarios import ASPECTS

__all__ = ["FOLDER", "INDEX", "main", "write"]

FOLDER: Final = Path("docs/certificates")
INDEX: Final = "certificates.json"
INTRODUCTION: Final = """# Certificates

What `streamkit audit` found in gateways that stand between a model and its clients, ours among them. Each page
is one run on one machine, with the versions that it names, in their default configuration or in the one that the page
shows. Most of what is found can be configured away, or is intended; where we know that, the remarks say so. A
certificate says what was seen, not what a product is worth.

`python -m benchmarks.audited NAME` writes a page anew, and each page shows the plain command.
[operating.md](../operating.md#auditing-a-gateway) says what is tried, and what counts as a finding.

| gateway | versions | broken answers that look complete | found | a piece's way |
|---|---|---|---|---|
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit, print, write; 0 if all of them could be audited."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.audited", description="Certificates of gateways")
    options.add_argument("names", nargs="*", metavar="NAME", help="which ones (default: all that are installed)")
    options.add_argument("--list", action="store_true", help="which there are")
    options.add_argument("--quick", action="store_true", help="some ten seconds each; nothing is written")
    options.add_argument("--folder", type=Path, default=FOLDER, help=f"where the pages go (default: {FOLDER})")
    given = options.parse_args(arguments)
    if unknown := set(given.names) - AUDITED.keys():
        options.error(f"expected names out of {', '.join(AUDITED)}, got {', '.join(sorted(unknown))}")
    missing = 0
    for each in AUDITED.values():
        if given.list or (each.missing and (not given.names or each.name in given.names)):
            print(f"{each.name:18} {each.title}{f' ({each.missing})' if each.missing else ''}")
            missing += each.name in given.names
        elif not given.names or each.name in given.names:
            certificate = asyncio.run(audit(each.gateway, quick=given.quick, on_progress=_told))
            print(f"\r\033[K{certificate.finding}")
            if not given.quick:
                write(given.folder, each, certificate)
    return 1 if missing else 0


def _told(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def write(folder: Path, audited: Audited, certificate: Certificate) -> None:
    """Its page, and its row in the index."""
    folder.mkdir(exist_ok=True)
    (folder / f"{audited.name}.md").write_text(_page(audited, certificate), encoding="utf-8")
    index = folder / INDEX
    rows: dict[str, Any] = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
    rows[audited.name] = _row(audited, certificate)
    index.write_text(json.dumps(rows, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    lines = [" | ".join(["", *rows[name], ""]).strip() for name in AUDITED if name in rows]
    (folder / "README.md").write_text(INTRODUCTION + "\n".join(lines) + "\n", encoding="utf-8")


def _row(audited: Audited, certificate: Certificate) -> list[str]:
    broken = [one for one in certificate.judgements if one.aspect == "endings" and not one.unjudged]
    lies = sum(any(finding.code == "false_success" for finding in one.found) for one in broken)
    way = next((fact.value for fact in certificate.facts if fact.what == "a piece's way"), "–")
    found = ", ".join(f"`{code}`" for code in certificate.codes) or "nothing"
    return [f"[{audited.title}]({audited.name}.md)", audited.versions, f"{lies} of {len(broken)}", found, way]


def _page(audited: Audited, certificate: Certificate) -> str:
    unjudged = [aspect for aspect in ASPECTS if certificate.grade(aspect) == "not judged"]
    told = [*audited.remarks, *([f"Not judged: {', '.join(unjudged)}."] if unjudged else [])]
    setup = "\n".join(audited.setup)
    remarks = "\n".join(f"- {remark}" for remark in told)
    return (
        f"# {audited.title}\n\n{audited.versions}, audited on {certificate.about['when'][:10]}.\n\n"
        f"```sh\n{setup}\n```\n\n"
        f"{f'## Remarks{chr(10)}{chr(10)}{remarks}{chr(10)}{chr(10)}' if told else ''}"
        f"## The certificate\n\n```text\n{certificate}\n```\n"
    )


if __name__ == "__main__":
    sys.exit(main())
