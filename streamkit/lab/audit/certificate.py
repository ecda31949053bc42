"""The result of an audit: facts, findings and grades, as text, JSON and HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from streamkit._version import __version__
from streamkit.errors import ConfigError
from streamkit.lab.audit.page import page
from streamkit.lab.audit.scenarios import ASPECTS, Aspect
from streamkit.lab.audit.witness import FINDINGS, AuditFact, AuditFinding, FindingCode, Judgement
from streamkit.lab.findings.endings import EndGrid
from streamkit.lab.findings.words import many

__all__ = ["Certificate", "Grade"]

Grade: TypeAlias = Literal["holds", "found", "not judged"]
SAYS: Final[Mapping[Aspect, str]] = {
    "endings": "a broken answer looks broken",
    "text": "a whole answer arrives whole, to the character",
    "pace": "each piece is passed on when it comes",
    "leaving": "a client that leaves ends the upstream's work",
    "timers": "a silence of the model is borne",
    "back-pressure": "a client that does not read holds the upstream",
    "side by side": "one stream does not wait for another",
    "resuming": "a stream that was cut goes on where it was",
    "heads": "heads are as HTTP wants them",
}
"""What holds where nothing was found."""
MANY: Final = 8


@dataclass(frozen=True, repr=False)
class Certificate:
    """The result of an audit; `print()` it to read it.

        certificate = await sk.experiments.audit(gateway)
        certificate.ok, certificate.codes
        certificate.save("gateway.html")

    gateway     the name of the gateway
    judgements  one for each scenario, in the order in which they were tried
    about       how it was asked: the formats, the longest silence, how long it took, versions
    said        the end of the gateway's log, with secrets masked
    """

    gateway: str
    judgements: Sequence[Judgement]
    about: Mapping[str, str] = field(default_factory=dict)
    said: str = ""

    @property
    def findings(self) -> list[AuditFinding]:
        """Everything it did wrong, in the order of the codes."""
        order = list(FINDINGS)
        found = [finding for judgement in self.judgements for finding in judgement.found]
        return sorted(found, key=lambda finding: order.index(finding.code))

    @property
    def codes(self) -> list[FindingCode]:
        """The codes of the findings, each once."""
        return list(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def facts(self) -> list[AuditFact]:
        """Everything that was measured."""
        return [fact for judgement in self.judgements for fact in judgement.facts]

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings

    def grade(self, aspect: Aspect) -> Grade:
        """The grade of one aspect; "not judged" if none of its scenarios could be judged."""
        if any(FINDINGS[finding.code][0] == aspect for finding in self.findings):
            return "found"
        of_it = [judgement for judgement in self.judgements if judgement.aspect == aspect]
        return "holds" if any(not judgement.unjudged for judgement in of_it) else "not judged"

    def told(self, aspect: Aspect) -> list[str]:
        """The sentences about one aspect: findings, facts, and what could not be judged."""
        lines = []
        for code in self.codes:
            if FINDINGS[code][0] == aspect:
                lines.append(f"! {FINDINGS[code][1]} ({code}):")
                lines += [f"    {line}" for line in _grouped([each for each in self.findings if each.code == code])]
        lines += [f"{fact.what}: {fact.value}" for fact in self.facts if fact.aspect == aspect]
        unjudged = [one for one in self.judgements if one.unjudged and one.aspect == aspect]
        return lines + [f"not judged, {one.scenario}: {one.unjudged}" for one in unjudged]

    @property
    def finding(self) -> str:
        """The result in one sentence."""
        tried = many(len(self.judgements), "scenario")
        if self.ok:
            return f"{self.gateway}: nothing found in {tried}"
        return f"{self.gateway}: {many(len(self.codes), 'kind')} of fault found in {tried}: {', '.join(self.codes)}"

    def end_grid(self, *others: Certificate) -> EndGrid:
        """How each stream ended for its client, beside those of other gateways: for `sk.plots.outcomes`."""
        columns = [self, *others]
        rows = [one.scenario for one in self.judgements if one.ending is not None and one.aspect == "endings"]
        cells = {
            (one.scenario, each.gateway): [one.ending]
            for each in columns
            for one in each.judgements
            if one.ending is not None and one.scenario in rows and not one.unjudged
        }
        return EndGrid(
            rows=rows, columns=[each.gateway for each in columns], panels={"": cells}, finding=_lies(columns)
        )

    def __str__(self) -> str:
        head = [f"streamkit audit of {self.gateway}", "", self.finding, ""]
        head += [f"  {name}: {value}" for name, value in self.about.items()]
        body = []
        for aspect in ASPECTS:
            grade = self.grade(aspect)
            sign = {"holds": "ok", "found": "FOUND", "not judged": "–"}[grade]
            body += ["", f"{sign:<6} {aspect}: {SAYS[aspect] if grade != 'not judged' else 'not judged'}"]
            if grade == "found":
                body[-1] = f"{sign:<6} {aspect}"
            body += [f"       {line}" for line in self.told(aspect)]
        return "\n".join([*head, *body, "", "how each stream ended for its client", "", *_rows(self.judgements)])

    def __repr__(self) -> str:
        return f"<Certificate {self.finding}>"

    def as_dict(self) -> dict[str, Any]:
        """The certificate as JSON values."""
        return {
            "gateway": self.gateway,
            "ok": self.ok,
            "streamkit": __version__,
            "about": dict(self.about),
            "grades": {aspect: self.grade(aspect) for aspect in ASPECTS},
            "findings": [{**asdict(each), "says": FINDINGS[each.code][1]} for each in self.findings],
            "facts": [asdict(each) for each in self.facts],
            "scenarios": [asdict(each) for each in self.judgements],
            "log": self.said,
        }

    def html(self) -> str:
        """The certificate as a self-contained HTML page, without scripts, pictures or links to load."""
        return page(self.finding, _sections(self), self.about, self.judgements, self.said)

    def _repr_html_(self) -> str:
        return page(self.finding, _sections(self), self.about, self.judgements, "", whole=False)

    def save(self, path: str | Path) -> None:
        """Write it to a file, whose name says the format: .html, .json or .txt. Raises ConfigError for any other."""
        target = Path(path)
        target.write_text(self.as_text(target.suffix), encoding="utf-8")

    def as_text(self, suffix: str) -> str:
        """The content of a file of that kind: ".html", ".json" or ".txt"."""
        if suffix in (".html", ".htm"):
            return self.html()
        if suffix == ".json":
            return json.dumps(self.as_dict(), ensure_ascii=False, indent=2) + "\n"
        if suffix == ".txt":
            return f"{self}\n"
        raise ConfigError(f"expected a file that ends in .html, .json or .txt, got {suffix!r}")


def _grouped(findings: Sequence[AuditFinding]) -> list[str]:
    """One line each; those in which the same was seen in many scenarios are one."""
    alike: dict[str, list[str]] = {}
    for finding in findings:
        alike.setdefault(finding.seen, []).append(finding.scenario)
    lines = []
    for seen, scenarios in alike.items():
        if len(scenarios) > MANY:
            lines.append(f"{len(scenarios)} scenarios, such as {scenarios[0]}: {seen}")
        else:
            lines += [f"{scenario}: {seen}" for scenario in scenarios]
    return lines


def _sections(certificate: Certificate) -> list[tuple[str, str, str, list[str]]]:
    """Aspect, grade, what it says, what stands below."""
    return [(aspect, certificate.grade(aspect), SAYS[aspect], certificate.told(aspect)) for aspect in ASPECTS]


def _rows(judgements: Sequence[Judgement]) -> list[str]:
    ended = [one for one in judgements if one.ending is not None]
    width = max((len(one.scenario) for one in ended), default=0)
    return [f"  {one.scenario:<{width}}  {_word(one)}" for one in ended]


def _word(judgement: Judgement) -> str:
    ending = judgement.ending
    assert ending is not None  # noqa: S101  # for the type checker: those without are left out
    if judgement.unjudged:
        return f"not judged ({ending.says})"
    kind = "LOOKS COMPLETE" if ending.kind == "false_complete" else ending.kind
    return kind if ending.says in ("", kind) else f"{kind} ({ending.says})"


def _lies(columns: Sequence[Certificate]) -> str:
    clauses = []
    for each in columns:
        broken = [one for one in each.judgements if one.aspect == "endings" and not one.unjudged]
        lies = sum(any(finding.code == "false_success" for finding in one.found) for one in broken)
        clauses.append(f"{each.gateway}: {lies or 'none'} of {len(broken)}")
    return f"Broken answers that look complete: {'; '.join(clauses)}"
