"""When to say that a neighbour does not answer: once when it begins, and once when it ends."""

from collections.abc import Callable
from typing import Final, Literal

from common.clocks import loop_time

STARTING: Final = 30.0
"""Seconds in which containers of one pod may still be starting: one that does not answer yet is not reported."""


class Complaint:
    """Decides what is worth a line of the log, however often something is tried.

    As long as it never worked and the process has just started, that is said without alarm; if it lasts, again with it.
    """

    def __init__(self, *, clock: Callable[[], float] = loop_time) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._began = clock()
        self._worked = False
        self._told: Literal["", "info", "warning"] = ""

    def failed(self) -> Literal["", "info", "warning"]:
        """It failed: return the level of the line that is due, empty when that was said already."""
        level: Literal["info", "warning"] = "warning"
        if not self._worked and self._clock() - self._began < STARTING:
            level = "info"
        if self._told in (level, "warning"):
            return ""
        self._told = level
        return level

    def worked(self) -> bool:
        """It worked: return whether that is worth a line, because it was said that it did not."""
        self._worked = True
        told, self._told = self._told, ""
        return bool(told)
