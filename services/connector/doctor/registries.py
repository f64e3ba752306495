"""Finds model registries and catalogs as the normalizer does, and sends each one request, without retries."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from common.http.errors import RemoteError, StatusError
from common.kube.resources import GATEWAYS, HTTP_ROUTES, ROUTES, SERVICES, Resource
from services.connector.doctor.asking import ApiServerClient, Asked
from services.connector.doctor.model import RegistryMatch
from services.normalizer.normalize import values
from services.normalizer.normalize.answers import models_path
from services.normalizer.normalize.registry_objects import LIVE
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.addresses import (
    read_gateway,
    read_http_route,
    read_route,
    read_service_address,
)
from services.normalizer.sources.kubeflow.catalog import API_ROOTS as CATALOG_ROOTS
from services.normalizer.sources.kubeflow.discovery import Discovery, DiscoverySettings, discover
from services.normalizer.sources.kubeflow.paging import ListReader, item_id
from services.normalizer.sources.kubeflow.poller import API_ROOTS as REGISTRY_ROOTS
from services.normalizer.sources.mlflow_lists import MODELS as MLFLOW_MODELS
from services.normalizer.sources.refs import SourceRef

_PAGE = 100
_FURTHER = ("nextPageToken", "next_page_token", "has_more")

RegistryObjects: TypeAlias = Mapping[Resource, Asked[Sequence[Any]]]
"""The objects by which registries are found, by kind, or the error if a kind cannot be listed."""


async def search(api: ApiServerClient, kinds: Sequence[Resource], namespaces: Sequence[str | None]) -> RegistryObjects:
    """List the objects of some kinds; an error for a kind that cannot be read in one of the namespaces."""

    async def of_kind(kind: Resource) -> Asked[Sequence[Any]]:
        answers = await asyncio.gather(*(api.objects(kind, namespace) for namespace in namespaces))
        refusal = next((each for each in answers if isinstance(each, RemoteError)), None)
        return refusal or [obj for each in answers if not isinstance(each, RemoteError) for obj in each]

    return dict(zip(kinds, await asyncio.gather(*map(of_kind, kinds)), strict=True))


def discovery_of(found: RegistryObjects, settings: DiscoverySettings) -> Discovery:
    """Return the registries and catalogs that were found or are in the settings."""
    objects = {kind: [] if isinstance(answer, RemoteError) else answer for kind, answer in found.items()}
    gateways = {
        (str(each["metadata"].get("namespace")), str(each["metadata"].get("name"))): read_gateway(each)
        for each in objects.get(GATEWAYS, ())
    }
    behind = [read_http_route(each) for each in objects.get(HTTP_ROUTES, ())]
    routes = [
        *map(read_route, objects.get(ROUTES, ())),
        *(route.behind(gateways.get(route.gateway)) for route in behind),
    ]
    return discover(routes, map(read_service_address, objects.get(SERVICES, ())), settings)


class FirstPage(NamedTuple):
    """The API root at which a server answers, and how many models or sources its first page has.

    `is_last`: there is no further page.
    """

    root: str
    items: int
    is_last: bool


async def first_page(connector: Connector, ref: SourceRef) -> Asked[FirstPage]:
    """Return the first page of a server's list, or an error."""
    if not ref.url:
        return RemoteError("no address")
    paths, limit, field_ = [f"{root}/sources" for root in CATALOG_ROOTS], "pageSize", "items"
    if ref.api == "mlflow":
        paths, limit, field_ = [MLFLOW_MODELS.path], "max_results", "registered_models"
    elif ref.api == "openai":
        paths, limit, field_ = [models_path(ref.url)], "limit", "data"
    elif ref.kind == "registry":
        paths = [f"{root}/registered_models" for root in REGISTRY_ROOTS]
    error: RemoteError = RemoteError("not asked")
    async with connector.open(ref) as remote:
        for path in paths:
            try:
                answer = await remote.get(path, {limit: str(_PAGE)})
            except RemoteError as failure:
                error = failure
                if not isinstance(failure, StatusError) or failure.status != 404:
                    return failure
            else:
                items = values.items(answer.get(field_)) if isinstance(answer, dict) else ()
                # Some servers do not say that there is more.
                is_last = len(items) < _PAGE and not any(values.at(answer, name) for name in _FURTHER)
                return FirstPage(path, len(items), is_last)
    return error


async def registered_models(connector: Connector, ref: SourceRef, name: str) -> Asked[list[RegistryMatch]]:
    """Return the registered models of this name, with their versions."""
    error: RemoteError = RemoteError("not asked")
    async with connector.open(ref) as remote:
        lists = ListReader(remote)
        for root in REGISTRY_ROOTS:
            answer = await lists.read(f"{root}/registered_models", lambda item: item)
            if answer.error is not None and not answer.items:
                error = answer.error
                continue
            found = []
            for item in answer.items:
                if isinstance(item, dict) and str(item.get("name", "")).lower() == name.lower():
                    state = str(item.get("state") or LIVE)
                    states = {}
                    if each := item_id(item):
                        versions = await lists.read(f"{root}/registered_models/{each}/versions", lambda item: item)
                        states = {
                            str(v.get("name")): str(v.get("state") or LIVE)
                            for v in versions.items
                            if isinstance(v, dict)
                        }
                    found.append(RegistryMatch(ref.label, str(item["name"]), state, states, usable=bool(each)))
            return found
    return error
