"""What is said of a neighbour that does not answer: once when it begins and once when it ends."""

import time
from collections.abc import Callable
from typing import Any, Final, Literal

STARTING: Final = 30.0
"""Seconds in which containers of one pod may still be starting: until then it is no news that one does not answer."""


class Complaint:
    """Logs that something fails, and that it works again; each once, however often it is tried.

    As long as it never worked and the process has just started, that is said without alarm; if it lasts, again with it.
    """

    def __init__(self, log: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`log` is a logger of structlog; `clock` gives seconds."""
        self._log = log
        self._clock = clock
        self._began = clock()
        self._worked = False
        self._told: Literal["", "info", "warning"] = ""

    def failed(self, event: str, **facts: Any) -> None:
        """It failed."""
        level: Literal["info", "warning"] = "warning"
        if not self._worked and self._clock() - self._began < STARTING:
            level = "info"
        if self._told in (level, "warning"):
            return
        self._told = level
        if level == "info":
            self._log.info(event, starting=True, **facts)
        else:
            self._log.warning(event, **facts)

    def worked(self, event: str) -> None:
        """It worked; `event` says so, where it was said that it did not."""
        self._worked = True
        if self._told:
            self._log.info(event)
        self._told = ""
