"""What a deployment has from its namespace: owner, system, lifecycle and tags, where nobody says them of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.normalizer.normalize import values
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.profile import said_in_annotations

_FIELDS = frozenset({"lifecycle", "owner", "system"})


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a namespace says: fields for Backstage, and labels, which become tags."""

    said: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def given(self, deployment: Deployment) -> Deployment:
        """Return a deployment with what it does not say itself."""
        stated = deployment.stated
        said, labels = dict(self.said) | dict(stated.said), dict(self.labels) | dict(stated.labels)
        if len(said) == len(stated.said) and len(labels) == len(stated.labels):
            return deployment
        return replace(
            deployment, stated=replace(stated, said=tuple(sorted(said.items())), labels=tuple(labels.items()))
        )


NOTHING = Inheritance()


def read_namespace(obj: Mapping[str, Any]) -> Inheritance:
    """Return what a Namespace (v1) says in its annotations, and in labels of the same names where those say nothing."""
    metadata = values.mapping(obj.get("metadata"))
    labels = values.mapping(metadata.get("labels"))
    said = said_in_annotations(labels) | said_in_annotations(values.mapping(metadata.get("annotations")))
    return Inheritance(
        said=tuple(sorted((field, text) for field, text in said.items() if field in _FIELDS)),
        labels=tuple(sorted((str(key), values.line(value)) for key, value in labels.items())),
    )
