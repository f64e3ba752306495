"""Collecting the problems of one object while it is mapped."""

from collections.abc import Callable, Iterable

from common.problems import Problem, ProblemId


class Notes:
    """The problems found with one object, in the order of finding.

    `place` turns the name of a field (`howtouse`) into the place where the object's owner wrote it, for messages
    and remedies: an annotation, a custom property.
    """

    def __init__(self, subject: str, *, place: Callable[[str], str], found: Iterable[Problem] = ()) -> None:
        self.subject = subject
        self.place = place
        self._found = list(found)

    def warning(self, id_: ProblemId, message: str, remedy: str) -> None:
        """Record that something of the object is not shown."""
        self._found.append(Problem(id_, "warning", self.subject, message, remedy))

    def info(self, id_: ProblemId, message: str, remedy: str) -> None:
        """Record that something of the object is shown in another form than it was written in."""
        self._found.append(Problem(id_, "info", self.subject, message, remedy))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found so far."""
        return tuple(self._found)
