"""Faults on command: which requests they hit, and what happens to those.

Any request: `status`, `hang` (no answer ever), `drop` (connection lost, nothing done), `drop_after` (done, but
the answer is lost), `delay`, `truncate` (half of the body).
Watches, also open ones: `garbage` (a line that is no JSON), `error` (ERROR 500), `gone` (ERROR 410),
`silent` (open, without a byte forever), `close` (ends at once).
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from tests.fakes.kubernetes.requests import RequestInfo

WatchFault = Literal["garbage", "error", "gone", "silent", "close"]
RequestFault = Literal["status", "hang", "drop", "drop_after", "delay", "truncate"]
ACTIONS = (*get_args(RequestFault), *get_args(WatchFault))


@dataclass(kw_only=True)
class Fault:
    """Hits the next `times` requests (None: all) that match every criterion given."""

    action: RequestFault | WatchFault
    times: int | None = 1
    method: str = ""
    path: str = ""  # regular expression, searched for in path and query
    verb: str = ""
    resource: str = ""
    name: str = ""
    status: int = 500
    body: str | None = None  # None: a Status object
    content_type: str = "text/html"
    retry_after: int | None = None
    seconds: float = 0.0  # of a delay
    hits: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"unknown fault {self.action!r}; there are {', '.join(ACTIONS)}")

    def matches(self, method: str, path: str, info: RequestInfo | None) -> bool:
        """Whether a request is hit."""
        return (
            (self.times is None or self.hits < self.times)
            and self.method in ("", method)
            and bool(re.search(self.path, path))
            and self.verb in ("", info.verb if info else "")
            and self.resource in ("", info.resource if info else "")
            and self.name in ("", info.name if info else "")
            and (self.action not in get_args(WatchFault) or (info is not None and info.verb == "watch"))
        )


class Faults:
    """The faults in force, the oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Let everything succeed again."""
        self._faults.clear()

    def strike(self, method: str, path: str, info: RequestInfo | None) -> Fault | None:
        """The fault that hits this request, counted."""
        for fault in self._faults:
            if fault.matches(method, path, info):
                fault.hits += 1
                return fault
        return None
