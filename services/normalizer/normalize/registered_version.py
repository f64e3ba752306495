"""The facts of every kind of registry: about its versions, and about itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from common.problems import Problem
from services.normalizer.facts import Ref, RegistryApi
from services.normalizer.normalize.cards import CatalogModel, ReadmeCard, named_model, shorten

if TYPE_CHECKING:  # slow to import, and not needed where there is no registry
    from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, RegisteredModel


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry: `id` tells it from all others for good, `name` and `namespace` are those of its Kubernetes object.

    `name` is empty when the registry was given by its URL alone. `listed`: all its lists were read to the end at least
    once since the start; before that, versions may add documents, but not change those of an earlier run. `problems`
    are those of unusable items, which belong to no version.
    """

    id: str
    name: str = ""
    namespace: str = ""
    api: RegistryApi = "kubeflow"
    listed: bool = True
    problems: tuple[Problem, ...] = ()


class Record(NamedTuple):
    """A registry's record of a deployment of a version; sorted by name. `updated` is in milliseconds of the epoch."""

    name: str
    id: str
    updated: int
    version: Ref
    namespace: str = ""

    @property
    def isvc_name(self) -> str:
        """The name of the isvc: the record's is `name`, or `name/uid` where isvcs are synchronised with a registry."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A version of a registered model with everything that its registry says about it, live or not.

    `artifacts` is None until they were read; its document is kept as it is until then. `card` is the model of the model
    catalog that they name. `records` are those of its deployments; only a live version has some.
    """

    ref: Ref
    model: "RegisteredModel"
    version: "ModelVersion"
    artifacts: "tuple[ModelArtifact, ...] | None"
    card: CatalogModel | None = None
    records: tuple[Record, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether it is shown: neither it nor its model is archived, or marked to be left out."""
        return self.model.is_live and self.version.is_live

    @property
    def origin(self) -> str:
        """16 hexadecimal digits over ids, names and times of creation of the version and its model.

        Two registries that show the same are one under two names. Empty where a time is unknown.
        """
        model, version = self.model, self.version
        if not (model.created and version.created):
            return ""
        told = (model.id, version.id, model.name, version.name, str(model.created), str(version.created))
        return blake2b("\0".join(told).encode("utf-8", "replace"), digest_size=8).hexdigest()

    def said(self, name: str) -> str:
        """Return the text of a custom property, the version's before the model's."""
        of_either = (item.properties.get(name) for item in (self.version, self.model))
        return next((stored.text for stored in of_either if stored and stored.text.strip()), "")


def joined(
    registry: str,
    model: "RegisteredModel",
    version: "ModelVersion",
    artifacts: "tuple[ModelArtifact, ...] | None",
    records: tuple[Record, ...] = (),
    *,
    former: RegisteredVersion | None = None,
) -> RegisteredVersion:
    """Return the fact about a version, joined from what a registry has on it; `former` itself, if nothing changed."""
    same = former is not None and former.model is model and former.version is version
    if former is not None and same and former.artifacts is artifacts and former.records == records:
        return former
    return RegisteredVersion(
        ref=Ref.version(registry, model.id, version.id),
        model=model,
        version=version,
        artifacts=artifacts,
        card=catalog_model(artifacts or ()),
        records=records,
    )


def model_artifacts(artifacts: "Iterable[ModelArtifact]") -> "tuple[ModelArtifact, ...]":
    """Return the models among a version's artifacts, oldest first, then by id, whatever order they were listed in."""
    return tuple(sorted((a for a in artifacts if a.is_model), key=lambda a: (a.created, len(a.id), a.id)))


def catalog_model(artifacts: "Iterable[ModelArtifact]") -> CatalogModel | None:
    """Return the catalog model that a version was registered from, or None when it came from elsewhere.

    Dashboards since September 2025 write the whole name, with or without slashes, and no group. Pipeline runs (`kfp`)
    and transfer jobs also name a source, but not one of a catalog.
    """
    for artifact in model_artifacts(artifacts):
        model = named_model(artifact.model_source_class, artifact.model_source_name, group=artifact.model_source_group)
        if artifact.model_source_kind in ("", "catalog") and model is not None:
            return model
    return None


def readme_card(registry: str, model: "RegisteredModel") -> ReadmeCard | None:
    """Return the card made of the model's readme, or None when it has none; the catalog's card is preferred.

    `registry` is the id of the model's registry.
    """
    if not model.readme:
        return None
    return ReadmeCard(f"readme-{registry}-{model.id}", shorten(model.readme))


def age(version: "ModelVersion") -> tuple[int, int, str]:
    """Return the key that sorts versions by their age, the oldest first."""
    return version.created, len(version.id), version.id


def registry_source(registry: str) -> str:
    """Return the id under which the entries of a registry are stored."""
    return f"registry:{registry}"
