"""From a version of a registered model to its document; the rules are in docs/mapping.md, "Registered models"."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from common import backstage
from common.annotations import NAME_ANNOTATION
from common.details import Details
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import CARD_LIMIT, is_too_large
from services.normalizer.normalize.document import ServerFacts, build_document
from services.normalizer.normalize.licences import licence_identifier
from services.normalizer.normalize.links import (
    deployment_link,
    details_without_credentials,
    version_link,
    without_credentials,
)
from services.normalizer.normalize.owners import is_system_account, parse_owner
from services.normalizer.normalize.profile import Profile, read_profile
from services.normalizer.normalize.registered_version import (
    RegisteredVersion,
    Registry,
    model_artifacts,
    registry_source,
)
from services.normalizer.normalize.result import Defaults, Normalized, Notes, segment
from services.normalizer.normalize.storage import Location
from services.normalizer.normalize.tags import PROVIDER, TASKS, listed, property_tags, tag_set

if TYPE_CHECKING:  # slow to import, and not needed where there is no registry
    from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, RegisteredModel

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

_WITH_OWN_PLACE = frozenset({*PROPERTIES.values(), NAME_ANNOTATION})
_MAX_VERSION = 31


def normalize_version(
    registered: RegisteredVersion,
    *,
    registry: Registry,
    server: ServerFacts | None,
    registry_isvc_name: str,
    card: str,
    defaults: Defaults,
) -> Normalized:
    """Return the document of a version; it has a server when `server` is given, under `registry_isvc_name` if any.

    `card` is the key of its card, empty without one. Whether it is live is for the caller to judge.
    """
    model, version = registered.model, registered.version
    given = {field: text for field, name in PROPERTIES.items() if (text := registered.said(name))}
    of_server = {name: field for name, field in (server.fields if server else {}).items() if name not in given}
    names = f"{values.shown(version.name)} of {values.shown(model.name)}"
    notes = Notes(
        f"ModelVersion {names} in registry {registry.name or registry.id}",
        place=lambda field: of_server[field].place if field in of_server else _property(field, registry),
    )
    if is_too_large(model.readme):
        notes.warning(
            "card_too_long",
            f"the model's readme has more than {CARD_LIMIT} bytes: what does not fit is left out",
            "shorten it in the registry",
        )
    artifacts = model_artifacts(registered.artifacts or ())
    given |= {name: field.text for name, field in of_server.items()}
    profile = _profile(model, version, given, card=card, defaults=defaults, notes=notes)
    name = _document_name(model.name, version.name)
    named = without_credentials(values.line(registered.said(NAME_ANNOTATION)))
    called = named or (server.called if server else name)
    server_name = registry_isvc_name or (server.name if server else "")
    files = _file_location(artifacts, notes)
    kept = _details(registered, artifacts, registry=registry, profile=profile, files=files)
    links = (
        *deployment_link(defaults.dashboard_url, server.details.namespace if server else ""),
        *version_link(defaults.dashboard_url, registry.name, model=model.id, version=version.id, name=version.name),
        *version.pages,
    )
    details = details_without_credentials(replace(kept, links=links))
    if server:
        names_of_all = dict.fromkeys((called, *details.names, *server.details.names))
        details = details.over(server.details, names=tuple(names_of_all))
    return Normalized(
        ref=str(registered.ref),
        source=registry_source(registry.id),
        segments=(segment(model.name), segment(version.name)),
        document=build_document(
            profile,
            name=name,
            called=called,
            description=profile.description,
            tags=property_tags(
                model,
                version,
                artifacts,
                with_own_place=_WITH_OWN_PLACE,
                ignored=defaults.tags_ignored,
                notes=notes,
            ),
            artifact=files.url,
            server=server,
            server_name=backstage.entity_name(registry_isvc_name, fallback=server.name if server else ""),
        ),
        reconciler="kubeflow",
        created=version.created,
        own_names=(own_name(model.name, version.name), server_name),
        updated=str(version.updated or ""),
        origin=registered.origin,
        card_key=card,
        details=details,
        problems=notes.problems,
    )


def _document_name(model: str, version: str) -> str:
    """Return the entity name for a version; where both names are too long for one, the version's is kept longer."""
    left = backstage.entity_name(model)
    right = backstage.sanitize(version.lower().replace(" ", "-")) or backstage.entity_name(version)
    if len(left) + len(right) < backstage.MAX_NAME:
        return f"{left}-{right}"
    return backstage.with_suffix(left, right[:_MAX_VERSION].rstrip("-_."))


def own_name(model: str, version: str) -> str:
    """Return what a version is called in its registry, or an empty text where it is too long for an entity's name."""
    text = f"{model.strip()}-{version.strip()}"
    return text if len(text) <= backstage.MAX_NAME else ""


def _profile(
    model: "RegisteredModel",
    version: "ModelVersion",
    given: Mapping[str, str],
    *,
    card: str,
    defaults: Defaults,
    notes: Notes,
) -> Profile:
    """Return the profile of a version; `given` are the fields that people have written, also on its server."""
    own = {} if "license" in given else {"license": model.license, "licenselink": model.license_link}
    texts = filter(None, (model.description, version.description))
    said = {**own, **given}
    said["description"] = "\n".join(texts) or f"{model.name} {version.name}"
    if parse_owner(model.owner):  # an account's name such as kube:admin: no one chose it, so it is no problem
        defaults = replace(defaults, owner=model.owner)
    return read_profile(said, card=card, defaults=defaults, notes=notes)


def _file_location(artifacts: "Sequence[ModelArtifact]", notes: Notes) -> Location:
    """Return where the model's files are: what the first artifact says that says anything."""
    first = next((artifact for artifact in artifacts if artifact.uri or artifact.storage_path), None)
    if first is None:
        return Location()
    if first.uri:
        correct = "write it with a scheme in the registry, such as oci://, s3:// or pvc://"
        return Location(notes.link(first.uri, place="the artifact's URI in the registry", correct=correct))
    connection = first.storage_key
    where = f"{first.storage_path} in the storage of connection {connection}" if connection else first.storage_path
    notes.info(
        "location_not_url",
        f"its files are at {where}, which is not a URL: it is shown without their location",
        "give the artifact a URI in the registry, such as s3://bucket/path",
    )
    return Location(words=where, connection=connection)


def _details(
    registered: RegisteredVersion,
    artifacts: "Sequence[ModelArtifact]",
    *,
    registry: Registry,
    profile: Profile,
    files: Location,
) -> Details:
    """Return what is kept with the document of a version, without links and what is known of its deployment."""
    model, version, own = registered.model, registered.version, profile.details
    of_format = next((artifact for artifact in artifacts if artifact.model_format_name), None)
    form = f"{of_format.model_format_name}-{of_format.model_format_version}".rstrip("-") if of_format else ""
    return replace(
        own,
        title=own.title or f"{model.name} {version.name}",
        registry=registry.name or registry.id,
        model=model.name,
        version=version.name,
        author="" if is_system_account(version.author) else version.author,
        provider=values.line(registered.said(PROVIDER)) or model.provider,
        license=own.license or licence_identifier(model.license) or values.line(model.license),
        tasks=model.tasks or listed(registered.said(TASKS)) or (),
        tags=tag_set((backstage.tag(form),)),
        location=files.words,
        connection=files.connection,
    )


def _property(field: str, registry: Registry) -> str:
    if field == "description":
        return "the description in the registry"
    return f"the {'tag' if registry.api == 'mlflow' else 'custom property'} {PROPERTIES.get(field, field)!r}"
