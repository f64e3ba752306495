"""What keeps a server from being read, and what helps: one form for all servers, of clusters, registries and models."""

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "starting",  # it was not asked yet
    "no-address",  # it exists, but nothing says under which address
    "dns",
    "unreachable",
    "timeout",
    "certificate",
    "unauthorized",
    "forbidden",
    "absent",  # something answers, and has no such API or resource
    "unavailable",
    "error",
    "answer",  # an answer came, and it is not what was asked for
    "inconsistent",  # answers contradict each other
    "too-large",  # more than is read of one server
    "internal",  # a defect of the connector
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a server cannot be read, or not completely; `remedy` is what helps, `url` the server's."""

    kind: FaultKind
    reason: str
    remedy: str = ""
    url: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {'; '.join(filter(None, (self.reason, self.remedy)))}"

    @property
    def needs_administrator(self) -> bool:
        """Whether an administrator has to act before another attempt can succeed."""
        return self.kind in ("absent", "forbidden", "unauthorized")


def kind_of(fault: Fault | None) -> FaultKind | Literal["ok"]:
    """Return the kind of a fault, `ok` where there is none."""
    return fault.kind if fault is not None else "ok"
