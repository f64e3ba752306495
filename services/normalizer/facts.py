"""What sources say, apart from who says it: lasting references to the objects that entries are made of."""

from dataclasses import dataclass
from typing import Literal, Self

RefKind = Literal["isvc", "registry"]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The lasting name of an object that an entry is made of.

    `place` is the cluster or registry that it is in, `ids` name it there: namespace and name of an InferenceService,
    or the ids of a registered model and its version.
    """

    kind: RefKind
    place: str
    ids: tuple[str, str]

    @classmethod
    def isvc(cls, cluster: str, namespace: str, name: str) -> Self:
        """Return the reference of an InferenceService."""
        return cls("isvc", cluster, (namespace, name))

    @classmethod
    def version(cls, registry: str, model: str, version: str) -> Self:
        """Return the reference of a version of a registered model, from the ids of all three."""
        return cls("registry", registry, (model, version))

    @classmethod
    def parse(cls, written: str) -> Self:
        """Return the reference that `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        kind, _, rest = written.partition(":")
        if kind == "isvc":
            cluster, _, object_ = rest.partition(":")
            namespace, separator, name = object_.partition("/")
            if separator:
                return cls("isvc", cluster, (namespace, name))
        elif kind == "registry" and rest.count(":") >= 2:
            registry, model, version = rest.rsplit(":", 2)  # a registry's id may hold a port
            return cls("registry", registry, (model, version))
        raise ValueError(f"{written[:200]!r} is not a reference")

    def __str__(self) -> str:
        if self.kind == "isvc":
            return f"isvc:{self.place}:{'/'.join(self.ids)}"
        return f"registry:{self.place}:{':'.join(self.ids)}"

    @property
    def label(self) -> str:
        """What people call the object."""
        if self.kind == "isvc":
            return f"InferenceService {'/'.join(self.ids)}"
        model, version = self.ids
        return f"ModelVersion {version} of RegisteredModel {model} in registry {self.place}"
