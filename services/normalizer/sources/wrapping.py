"""What wrappers around a source of deployments have in common: they are the source, but for what they add or change."""

from common.faults import Fault
from services.normalizer.facts import Ref
from services.normalizer.source import Provable, Sink, Source


class Wrapper:
    """A source as it is; subclasses have their own `run`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.id = source.id
        self.kind = source.kind
        self.namespaces = source.namespaces
        self.relist = source.relist

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the source has no such object; one that cannot be asked does not say so."""
        return isinstance(self._source, Provable) and await self._source.is_gone(ref)


class PassingOn(Sink):
    """Passes on what a source says; subclasses have their own `changed`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def listed(self, *, lacking: Fault | None = None) -> None:
        """Pass on that a look was complete."""
        self._sink.listed(lacking=lacking)

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        """Pass on how the source fares."""
        self._sink.state(fault, part=part, partly=partly)
