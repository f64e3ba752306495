"""From a version of a registered model to its document; the rules are in docs/mapping.md, "Registered models"."""

from collections.abc import Sequence
from dataclasses import replace

from common import backstage
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import CardRef, card_url
from services.normalizer.normalize.document import MODEL_NAME_ANNOTATION, build_document
from services.normalizer.normalize.links import as_link
from services.normalizer.normalize.notes import Notes
from services.normalizer.normalize.owners import parse_owner
from services.normalizer.normalize.profile import TECHDOCS_ANNOTATION, Profile, read_profile
from services.normalizer.normalize.property_tags import property_tags
from services.normalizer.normalize.registry_objects import (
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    RegistryRef,
    model_artifacts,
)
from services.normalizer.normalize.result import Defaults, Normalized, version_ref
from services.normalizer.normalize.segments import segment
from services.normalizer.normalize.server import ServerFacts

PROPERTIES = {
    "apispec": "API Spec",
    "apitype": "API Type",
    "ethics": "Ethics",
    "homepageurl": "Homepage URL",
    "howtouse": "How to use",
    "license": "License",
    "lifecycle": "Lifecycle",
    "owner": "Owner",
    "support": "Support",
    "techdocs": "TechDocs",
    "training": "Training",
    "usage": "Usage",
}
"""The custom property behind each field."""

_WITH_OWN_PLACE = frozenset({*PROPERTIES.values(), MODEL_NAME_ANNOTATION})
_MAX_VERSION = 31


def normalize_version(
    model: RegisteredModel,
    version: ModelVersion,
    artifacts: Sequence[ModelArtifact],
    *,
    registry: RegistryRef,
    source: str,
    server: ServerFacts | None,
    registry_isvc_name: str,
    card: CardRef | None,
    defaults: Defaults,
) -> Normalized:
    """Return the document of a version; it has a server when `server` is given, under `registry_isvc_name` if any.

    Whether model and version are live does not matter here: that is for the caller to judge.
    """
    notes = Notes(_subject(model, version, registry), place=_property)
    artifacts = model_artifacts(artifacts)
    profile = _profile(model, version, server=server, card=card, defaults=defaults, notes=notes)
    name = document_name(model.name, version.name)
    return Normalized(
        ref=version_ref(registry.id, model.id, version.id),
        source=source,
        segments=(segment(model.name), segment(version.name)),
        document=build_document(
            profile,
            name=name,
            called=_said(model, version, MODEL_NAME_ANNOTATION) or (server.name if server else name),
            description="\n".join(filter(None, (model.description, version.description)))
            or f"{model.name} {version.name}",
            tags=property_tags(model, version, artifacts, with_own_place=_WITH_OWN_PLACE, notes=notes),
            artifact=_artifact(artifacts, notes),
            server=server,
            server_name=backstage.entity_name(registry_isvc_name, fallback=server.name if server else ""),
        ),
        reconciler="kubeflow",
        created=version.created,
        updated=str(version.updated or ""),
        card_key=card.key if card else "",
        problems=notes.problems,
    )


def document_name(model: str, version: str) -> str:
    """Return the entity name for a version; where both names are too long for one, the version's is kept longer."""
    left = backstage.entity_name(model)
    right = backstage.sanitize(version.lower().replace(" ", "-")) or backstage.entity_name(version)
    if len(left) + len(right) < backstage.MAX_NAME:
        return f"{left}-{right}"
    return backstage.with_suffix(left, right[:_MAX_VERSION].rstrip("-_."))


def _profile(
    model: RegisteredModel,
    version: ModelVersion,
    *,
    server: ServerFacts | None,
    card: CardRef | None,
    defaults: Defaults,
    notes: Notes,
) -> Profile:
    given = {field: text for field, name in PROPERTIES.items() if (text := _said(model, version, name))}
    own = {} if "license" in given else {"license": model.license, "licenselink": model.license_link}
    said = {**own, **(server.said if server else {}), **given}
    if card:
        said.pop("techdocs", None)
    if parse_owner(model.owner):  # an account's name such as kube:admin: nobody chose it, so it is no problem
        defaults = replace(defaults, owner=model.owner)
    profile = read_profile(said, defaults=defaults, notes=notes)
    if card is None:
        return profile
    return replace(profile, annotations={**profile.annotations, TECHDOCS_ANNOTATION: card_url(card.key)})


def _said(model: RegisteredModel, version: ModelVersion, name: str) -> str:
    """Return a custom property's text, the version's before the model's."""
    of_either = (item.properties.get(name) for item in (version, model))
    return next((stored.text for stored in of_either if stored and stored.text.strip()), "")


def _artifact(artifacts: Sequence[ModelArtifact], notes: Notes) -> str:
    """Return where the model is: the first artifact that says so."""
    uri = next((artifact.uri for artifact in artifacts if artifact.uri), "")
    link = as_link(uri)
    if uri and link is None:
        notes.warning(
            f"the artifact's URI {values.shown(uri)} is no absolute URL and is left out",
            "write it with a scheme in the registry, such as oci://, s3:// or pvc://",
        )
    return link or ""


def _subject(model: RegisteredModel, version: ModelVersion, registry: RegistryRef) -> str:
    names = f"{values.shown(version.name)} of {values.shown(model.name)}"
    return f"ModelVersion {names} in registry {registry.name or registry.id}"


def _property(field: str) -> str:
    return f"the custom property {PROPERTIES.get(field, field)!r}"
