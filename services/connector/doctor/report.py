"""The findings of the doctor, as text for a terminal and as JSON. No I/O."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from common.words import counted

FindingVerdict = Literal["ok", "warning", "fault", "skipped"]
"""`warning`: it works, but should be checked; `skipped`: it could not be checked, or need not be."""
MARKS: dict[FindingVerdict, str] = {"ok": "✓", "warning": "!", "fault": "✗", "skipped": "-"}
COLOURS: dict[FindingVerdict, str] = {"ok": "green", "warning": "yellow", "fault": "red", "skipped": "bright_black"}


MISSING_RULE = '"Rights" above shows the missing rule'
"""The remedy where a step fails for want of a right, which has its own finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding in one line, and its remedy: a command or YAML, which may have several lines."""

    verdict: FindingVerdict
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The findings of one step; `seconds` is how long it took, `cluster` is empty if there is only one."""

    name: str
    title: str
    findings: tuple[Finding, ...]
    seconds: float = 0.0
    cluster: str = ""


@dataclass(slots=True)
class Report:
    """All steps, in order from the source to Backstage."""

    steps: list[Step] = field(default_factory=list)

    def count(self, verdict: FindingVerdict) -> int:
        """Return how many findings have this verdict."""
        return sum(finding.verdict == verdict for step in self.steps for finding in step.findings)

    def status(self, fail_on: Literal["fault", "warning"] = "fault") -> int:
        """Return the exit status: 0 if nothing is wrong, else 1."""
        bad = self.count("fault") + (self.count("warning") if fail_on == "warning" else 0)
        return 1 if bad else 0

    @property
    def summary(self) -> str:
        """A summary in one line."""
        faults, warnings = self.count("fault"), self.count("warning")
        if not faults and not warnings:
            return "nothing is wrong" if not self.count("skipped") else "nothing is wrong in what could be checked"
        return f"{counted(faults, 'fault')}, {counted(warnings, 'warning')}"

    def lines(self) -> Iterator[str]:
        """Yield the lines of all steps."""
        for before, step in zip([None, *self.steps], self.steps, strict=False):
            yield from (line for _, line in lines_of(step, before))

    def as_json(self) -> dict[str, Any]:
        """Return the output of `--format json`."""
        return {"summary": self.summary, "steps": [asdict(step) for step in self.steps]}


def lines_of(step: Step, before: Step | None = None) -> Iterator[tuple[FindingVerdict | None, str]]:
    """Yield the lines of a step for a terminal, each with its verdict, if it has one.

    The steps of a cluster are below its name, which is a line of its own unless the step `before` has the same.
    """
    if step.cluster and (before is None or before.cluster != step.cluster):
        yield None, f"Cluster {step.cluster}"
    margin = "  " if step.cluster else ""
    yield None, f"{margin}{step.title}"
    for finding in step.findings:
        first, *more = finding.message.splitlines() or [""]
        yield finding.verdict, f"{margin}  {MARKS[finding.verdict]} {first}"
        yield from ((None, f"{margin}    {line}") for line in more)
        yield from ((None, f"{margin}      {line}".rstrip()) for line in finding.remedy.splitlines())
