"""Follows one model from its source to the feed: asks, and has the answers judged."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

from common import identity
from common.http.client import RemoteError
from common.kube.resources import CONFIG_MAPS
from common.status import Explanation
from common.trust import TrustError
from services.connector.doctor import model
from services.connector.doctor.asking import Asked
from services.connector.doctor.cache import entries_of, values_of
from services.connector.doctor.examination import NO_WAY, REGISTRY_ROOTS, Examination, Options, ask_running, get
from services.connector.doctor.report import Finding, Step
from services.connector.doctor.settings import read_settings
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.registry_objects import LIVE
from services.normalizer.reports import is_meant, key_in
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.paging import ListReader, item_id
from services.normalizer.sources.refs import SourceRef


async def trace(options: Options, name: str) -> AsyncIterator[Step]:
    """Yield the steps on the way of the model called `name`: a name, namespace/name, key or URL."""
    settings, _ = read_settings(options.environ)
    name = key_in(name)
    async with AsyncExitStack() as stack:
        examination = Examination(options, settings, stack)
        way = _Way(examination, name)
        login = await examination.step("credentials", "Credentials and API server", examination.log_in)
        if examination.api is None:
            yield login
        for step in (
            ("registry", "Model registries", way.ask_registries),
            ("deployment", "Deployment", way.ask_cluster),
            ("cache", "Cache", way.ask_cache),
            ("feed", "Feed", way.ask_feed),
            ("normalizer", "What the normalizer says", way.ask_normalizer),
        ):
            yield await examination.step(*step)


class _Way:
    """What is found of one model, step by step."""

    def __init__(self, examination: Examination, name: str) -> None:
        self._examination = examination
        self._name = name
        self._deployments: Sequence[Deployment] = ()
        self._registered: Sequence[model.Registered] = ()
        self._kept: Sequence[model.Kept] = ()

    async def ask_registries(self) -> list[Finding]:
        """Look for a registered model of this name in every registry."""
        try:
            connector = self._examination.connector()
        except TrustError as error:
            return [Finding("fault", f"no registry can be verified: {error}")]
        discovery, _ = await self._examination.discover()
        refs = [ref for ref in discovery.refs if ref.kind == "registry" and ref.url]
        answers = await asyncio.gather(*(_registered(connector, ref, self._name) for ref in refs))
        pairs = list(zip(refs, answers, strict=True))
        self._registered = [each for _, answer in pairs if not isinstance(answer, RemoteError) for each in answer]
        unread = {ref.label: str(answer) for ref, answer in pairs if isinstance(answer, RemoteError)}
        return model.judge_registered(self._registered, unread, registries=len(refs))

    async def ask_cluster(self) -> list[Finding]:
        """Look for deployments of this name."""
        api, watched = self._examination.api, self._examination.watched
        if api is None:
            return NO_WAY
        found = await self._examination.list_deployments(api)
        refusal = next((each.answer for each in found if isinstance(each.answer, RemoteError)), None)
        wanted = self._examination.settings.normalizer.selection
        facts = [
            wanted.applied(one) for each in found if not isinstance(each.answer, RemoteError) for one in each.answer
        ]
        self._deployments = [isvc for isvc in facts if is_meant(isvc, self._name)]
        return model.judge_deployment(
            self._name,
            refusal if refusal and not self._deployments else self._deployments,
            [name for isvc in facts for name in (isvc.name, f"{isvc.namespace}/{isvc.name}")],
            watched=watched,
            registered=bool(self._registered),
        )

    async def ask_cache(self) -> list[Finding]:
        """Look for it in the ConfigMaps."""
        api, namespace = self._examination.api, self._examination.own
        if api is None or not namespace:
            return NO_WAY
        found = await api.objects(CONFIG_MAPS, namespace)
        kept: Asked[Sequence[model.Kept]] = found
        if not isinstance(found, RemoteError):
            self._kept = [e for e in _kept(found) if model.is_kept(e, self._name, self._deployments, self._registered)]
            kept = self._kept
        live = any(each.state == LIVE and LIVE in each.versions.values() for each in self._registered)
        expected = live or any(isvc.readiness.ready for isvc in self._deployments)
        return model.judge_kept(kept, expected=expected, namespace=namespace)

    async def ask_feed(self) -> list[Finding]:
        """Look for it in the feed."""
        options = self._examination.options
        answers = await asyncio.gather(
            *(get(options.urls["location"], each.uri, options.timeout / 3) for each in self._kept)
        )
        return model.judge_served(
            self._kept, {each.key: answer for each, answer in zip(self._kept, answers, strict=True)}
        )

    async def ask_normalizer(self) -> list[Finding]:
        """Ask a running normalizer."""
        path = f"/explain?{urlencode({'model': self._name})}"
        return model.judge_explanation(await ask_running(self._examination.options, path, Explanation))


async def _registered(connector: Connector, ref: SourceRef, name: str) -> Asked[list[model.Registered]]:
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
                    found.append(model.Registered(ref.label, str(item["name"]), state, states, usable=bool(each)))
            return found
    return error


def _kept(config_maps: Sequence[Any]) -> Iterator[model.Kept]:
    """Yield the entries that can be read; the others are told by the doctor's step on the cache."""
    for each in entries_of(config_maps):
        for key, entry in values_of(each):
            document = _document(entry.body) if entry else None
            if entry is not None and document is not None:
                uri = entry.uri or identity.uri_of(identity.segments_of(key))
                yield model.Kept(key=key, place=str(each["metadata"]["name"]), uri=uri, document=document)


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
