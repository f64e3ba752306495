"""Runs the steps of `connector doctor model NAME`, from the model's source to the feed."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from common import LOCATION, identity
from common.http.errors import RemoteError
from common.kube.resources import CONFIG_MAPS
from common.status import Explanation
from common.texts import parse_json
from common.trust import TrustError
from common.words import listed
from services.connector.doctor import explained, model
from services.connector.doctor.asking import Asked
from services.connector.doctor.cache import entries_of, values_of
from services.connector.doctor.cluster import ClusterExamination
from services.connector.doctor.examination import Examination, ask_running, get
from services.connector.doctor.registries import registered_models
from services.connector.doctor.report import Finding, Step
from services.connector.doctor.settings import read_settings
from services.connector.doctor.steps import DoctorOptions
from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.registry_objects import LIVE
from services.normalizer.reports import key_of, matches


async def trace(options: DoctorOptions, name: str) -> AsyncIterator[Step]:
    """Yield the steps for the model `name`: a name, namespace/name, key or URL."""
    settings, _ = read_settings(options.environ)
    name = key_of(name)
    async with AsyncExitStack() as stack:
        examination = Examination(options, settings, stack)
        if examination.names_clusters:
            clusters = await examination.step("clusters", "Clusters", examination.find_clusters)
            if any(finding.verdict == "fault" for finding in clusters.findings):
                yield clusters
        way = _ModelSearch(examination, name)
        for step in await way.ask_sources():
            yield step
        for work in (
            ("cache", "Cache", way.ask_cache),
            ("feed", "Feed", way.ask_feed),
            ("normalizer", "What the normalizer says", way.ask_normalizer),
        ):
            yield await examination.step(*work)


class _ClusterSearch:
    """The search for one model in one cluster and its registries."""

    def __init__(self, cluster: ClusterExamination, name: str) -> None:
        self.cluster = cluster
        self._name = name
        self._all: Sequence[Deployment] = ()
        self._refusal: RemoteError | None = None
        self._asked: Step | None = None
        self._told: list[Step] = []
        self.deployments: Sequence[Deployment] = ()
        self.registered: Sequence[model.RegistryMatch] = ()

    @property
    def refs(self) -> set[str]:
        """The references of the deployments with this name."""
        return {str(Ref.deployment(d.kind, self.cluster.id, d.namespace, d.name)) for d in self.deployments}

    async def ask(self) -> None:
        """Search for the model; the findings depend on what the other clusters have."""
        cluster = self.cluster
        if cluster.has_way:
            login = await cluster.login()
            self._told += [login] if cluster.api is None else []
        works = {}
        if cluster.reads_registries:
            works["registry"] = cluster.step("registry", "Model registries", self._ask_registries)
        if cluster.api is not None or not cluster.has_way:
            works["deployment"] = cluster.step("deployment", "Deployment", self._ask_cluster)
        done = dict(zip(works, await asyncio.gather(*works.values()), strict=True))
        self._told += [done["registry"]] if "registry" in done else []
        self._asked = done.get("deployment")

    async def _ask_registries(self) -> list[Finding]:
        cluster = self.cluster
        try:
            connector = cluster.connector()
        except TrustError as error:
            return [Finding("fault", f"the certificates of registries cannot be verified: {error}")]
        discovery, _ = await cluster.discover()
        refs = [ref for ref in discovery.refs if ref.kind == "registry" and ref.url]
        answers = await asyncio.gather(*(registered_models(connector, ref, self._name) for ref in refs))
        pairs = list(zip(refs, answers, strict=True))
        self.registered = [each for _, answer in pairs if not isinstance(answer, RemoteError) for each in answer]
        unread = {ref.label: str(answer) for ref, answer in pairs if isinstance(answer, RemoteError)}
        return model.judge_registered(self.registered, unread, registries=len(refs))

    async def _ask_cluster(self) -> list[Finding]:
        cluster = self.cluster
        if cluster.api is None:
            return []
        found = await cluster.list_deployments(cluster.api)
        self._refusal = next((each.answer for each in found if isinstance(each.answer, RemoteError)), None)
        wanted = cluster.settings.selection
        self._all = [
            wanted.applied(one) for each in found if not isinstance(each.answer, RemoteError) for one in each.answer
        ]
        self.deployments = [isvc for isvc in self._all if matches(isvc, self._name)]
        return []

    @property
    def was_searched(self) -> bool:
        """Whether all deployments of the cluster are known."""
        return self._refusal is None and self._asked is not None and not self._asked.findings

    def steps(self, *, registered: bool, elsewhere: str) -> Iterator[Step]:
        """Yield the steps; a model that is registered, or may be in another cluster, need not be deployed here."""
        cluster, asked = self.cluster, self._asked
        yield from self._told
        if asked is None or not cluster.has_way:
            return
        findings = asked.findings or model.judge_deployment(
            self._name,
            self._refusal if self._refusal and not self.deployments else self.deployments,
            [name for isvc in self._all for name in (isvc.name, f"{isvc.namespace}/{isvc.name}")],
            watched=cluster.wanted.namespaces,
            setting=cluster.purpose.named,
            registered=registered,
            elsewhere=elsewhere,
        )
        yield replace(asked, findings=tuple(findings))


def _elsewhere(others: Sequence[_ClusterSearch]) -> str:
    """Return why another cluster may have the model, empty if none has it."""
    if any(other.deployments for other in others):
        return "another cluster has it"
    unsearched = [other.cluster.name for other in others if not other.was_searched]
    return f"it may be in {listed(unsearched)}, which cannot be searched" if unsearched else ""


class _ModelSearch:
    """The search for one model, step by step."""

    def __init__(self, examination: Examination, name: str) -> None:
        self._examination = examination
        self._name = name
        self._places = [_ClusterSearch(cluster, name) for cluster in examination.clusters if cluster.purpose.followed]
        self._kept: Sequence[model.CacheEntry] = ()

    async def ask_sources(self) -> list[Step]:
        """Search every cluster and registry in parallel, and return their steps."""
        places, home = self._places, self._examination.home
        await asyncio.gather(*(place.ask() for place in places), *([home.login()] if home is not None else []))
        registered = any(place.registered for place in places)
        return [
            step
            for place in places
            for step in place.steps(
                registered=registered,
                elsewhere=_elsewhere([other for other in places if other is not place]),
            )
        ]

    async def ask_cache(self) -> list[Finding]:
        """Search the ConfigMaps."""
        access = self._examination.cache_access()
        if isinstance(access, list):
            return access
        api, namespace = access
        found = await api.objects(CONFIG_MAPS, namespace)
        kept: Asked[Sequence[model.CacheEntry]] = found
        deployments = [isvc for place in self._places for isvc in place.deployments]
        registered = [each for place in self._places for each in place.registered]
        if not isinstance(found, RemoteError):
            refs = {ref for place in self._places for ref in place.refs}
            self._kept = [
                e for e in _kept(found) if model.belongs_to(e, self._name, deployments, registered, refs=refs)
            ]
            kept = self._kept
        live = any(each.state == LIVE and LIVE in each.versions.values() for each in registered)
        expected = live or any(isvc.readiness.ready for isvc in deployments)
        return model.judge_entries(kept, expected=expected, namespace=namespace)

    async def ask_feed(self) -> list[Finding]:
        """Search the feed."""
        options = self._examination.options
        answers = await asyncio.gather(
            *(get(options.urls[LOCATION], each.uri, options.timeout / 3) for each in self._kept)
        )
        return model.judge_served(
            self._kept, {each.key: answer for each, answer in zip(self._kept, answers, strict=True)}
        )

    async def ask_normalizer(self) -> list[Finding]:
        """Ask a running normalizer."""
        path = f"/explain?{urlencode({'model': self._name})}"
        known = any(place.deployments or place.registered for place in self._places)
        answer = await ask_running(self._examination.options, path, Explanation)
        return explained.judge_explanation(answer, known=known)


def _kept(config_maps: Sequence[Any]) -> Iterator[model.CacheEntry]:
    """Yield the readable entries; the doctor's step about the cache reports the others."""
    for each in entries_of(config_maps):
        for key, entry in values_of(each):
            document = _document(entry.body) if entry else None
            if entry is not None and document is not None:
                uri = entry.uri or identity.uri_of(identity.segments_of(key))
                yield model.CacheEntry(
                    key=key,
                    place=str(each["metadata"]["name"]),
                    uri=uri,
                    document=document,
                    refs=frozenset(filter(None, (entry.ref, entry.server_ref))),
                )


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = parse_json(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
