"""Whether a collection can be followed, and otherwise why not and what to do."""

from dataclasses import dataclass
from typing import Literal

from common.faults import Fault, FaultKind
from common.http.client import RemoteError, Unreachable
from common.kube.errors import KubeError, remedy_of

StateKind = FaultKind | Literal["ok"]
STATE_KINDS: tuple[StateKind, ...] = ("starting", "ok", "absent", "forbidden", "unauthorized", "unreachable", "error")
"""Those that a collection of an API server can be in."""
_OF_STATUS: dict[int, StateKind] = {401: "unauthorized", 403: "forbidden", 404: "absent"}


@dataclass(frozen=True, slots=True)
class State:
    """Whether a collection is followed; if not, why and what to do. `absent`: the cluster lacks this resource."""

    ok: bool
    reason: str = ""
    remedy: str = ""
    kind: StateKind = "ok"

    def __str__(self) -> str:
        return f"{self.kind}: {'; '.join(filter(None, (self.reason, self.remedy)))}"

    @property
    def needs_administrator(self) -> bool:
        """Whether an administrator must act before another attempt can succeed."""
        return self.kind in ("absent", "forbidden", "unauthorized")


def failing(fault: Fault) -> State:
    """Return the state of something with a fault."""
    return State(ok=False, reason=fault.reason, remedy=fault.remedy, kind=fault.kind)


STARTING = State(ok=False, reason="not listed yet", kind="starting")
OK = State(ok=True)


def state_of(error: RemoteError) -> State:
    """Return the state after a failed request."""
    kind: StateKind = "error"
    if isinstance(error, KubeError):
        kind = _OF_STATUS.get(error.status, "error")
    elif isinstance(error, Unreachable):
        kind = "unreachable"
    return State(ok=False, reason=str(error), remedy=remedy_of(error), kind=kind)
