"""A source that can be asked whether an object is gone."""

from services.normalizer.facts import Ref
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind


def ref(name: str) -> Ref:
    return Ref.isvc("local", "models", name)


class Cluster:
    """A source that tells what a test has it tell; it can be asked for each object."""

    id = "kserve"
    kind: SourceKind = "kserve"
    namespaces = ()

    def __init__(self, answer: bool | Exception = False) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.relisted = 0

    async def run(self, sink: Sink) -> None:
        """The test itself tells."""

    def relist(self) -> None:
        """Nothing changes by looking again."""
        self.relisted += 1

    async def is_gone(self, ref: Ref) -> bool:
        self.asked.append(ref.label)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
