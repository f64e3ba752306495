"""Putting a document together from repaired values."""

from dataclasses import replace

from common.annotations import CLUSTER_ANNOTATION, NAME_ANNOTATION
from common.catalog import Api, CatalogDocument, Model, ModelServer
from services.normalizer.normalize.profile import Profile
from services.normalizer.normalize.result import Normalized, Place
from services.normalizer.normalize.server import ServerFacts

_NO_SPEC = "TBD"


def build_document(
    profile: Profile,
    *,
    name: str,
    called: str,
    description: str,
    tags: tuple[str, ...],
    artifact: str,
    server: ServerFacts | None,
    server_name: str,
) -> CatalogDocument:
    """Return the document of one model version; it has a server when `server` is given.

    `name` and `server_name` are valid entity names, `called` is what clients write as the model's name in requests.
    """
    model = Model(
        name=name,
        owner=profile.owner.name,
        lifecycle=profile.lifecycle,
        description=description,
        artifact_location_url=artifact or None,
        ethics=profile.ethics or None,
        how_to_use_url=profile.how_to_use_url,
        license=profile.license,
        support=profile.support or None,
        tags=tags,
        training=profile.training or None,
        usage=profile.usage or None,
        annotations={NAME_ANNOTATION: called, **profile.annotations},
    )
    if server is None:
        return CatalogDocument(models=(model,))
    return CatalogDocument(
        models=(model,),
        model_server=ModelServer(
            name=server_name,
            owner=profile.owner.name,
            lifecycle=profile.lifecycle,
            description=description,
            api=_api(profile, tags=tags, server=server),
            authentication=server.authentication,
            homepage_url=profile.homepage_url,
            tags=tags,
            usage=profile.usage or None,
            annotations=dict(profile.server_annotations),
        ),
    )


def within(place: Place, normalized: Normalized) -> Normalized:
    """Return a document that says which cluster it is in, where there are several, with what is so by default there."""
    details = normalized.details
    if place.defaults.system and not details.system:
        details = replace(details, system=place.defaults.system)
    if not place.name:
        return replace(normalized, details=details)
    return replace(
        normalized,
        document=normalized.document.marked({CLUSTER_ANNOTATION: place.name}, f"cluster-{place.name}"),
        details=replace(details, cluster=place.name),
    )


def _api(profile: Profile, *, tags: tuple[str, ...], server: ServerFacts) -> Api:
    return Api(
        url=server.url,
        type=profile.api_type or server.api_type,
        spec=profile.api_spec or _NO_SPEC,
        tags=tags,
        annotations=dict(server.annotations),
    )
