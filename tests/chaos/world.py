"""The world of one run: fake servers, the services, and how each action of a schedule is carried out there."""

import asyncio
import base64
import json
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

from tests.chaos.judge import Judge, Truth, session
from tests.chaos.mutants import wrapper
from tests.chaos.original import Original
from tests.chaos.schedule import REGISTERED, SERVICES, Action, Setup
from tests.chaos.servers import Servers
from tests.fakes.kubernetes import INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, ROUTES, FakeCluster, Rule
from tests.fakes.registry import MODELS, FakeRegistry
from tests.objects import isvc, llm_isvc, not_ready, stopped
from tests.process.pod import (
    LOCATION,
    NAMESPACE,
    NORMALIZER,
    PORTS,
    STORAGE,
    containers_at,
    isvc_uri,
    kubelet,
    own_address,
)
from tests.process.service import Service
from tests.simulation.process import Process
from tests.waiting import eventually

TOKEN = "eyJhbGciOiJSUzI1NiJ9.Y2hhb3M.c2lnbmF0dXJl"
USER = f"system:serviceaccount:{NAMESPACE}:rhdh-rhoai-connector"
OWNER = "modelcatalogbridge.rhdh.io/owner"
IGNORE = "rhdh.modelcatalog.io/ignore"
LLMS = Rule(api_groups=("serving.kserve.io",), resources=("llminferenceservices",), verbs=("get", "list", "watch"))
CONVERGES = 150.0
"""Seconds: a back-off of half a minute after the last fault, on a busy machine."""
FLICKER = 0.5
LOADING = 1.5
"""The most seconds until a service has begun, in a simulation."""
_GRACE = "20s"
"""NOT_READY_GRACE: longer than any flicker with an outage in the middle."""
_HOLD = "60s"
"""REMOVAL_HOLD: longer than any failure here lasts, and short enough for all to converge."""
_STATUS = {"forbidden": 403, "broken": 500, "conflict": 409, "storage full": 507, "unavailable": 503, "absent": 404}


class World:
    """Used with `async with`; `rules` are the rights that the connector's account has.

    The services run in the simulation that this is used in, or as `processes`, with the fault `mutant` put back.
    """

    def __init__(
        self, *, setup: Setup, directory: Path, rules: Sequence[Rule], processes: bool = False, mutant: str = ""
    ) -> None:
        self.truth = Truth()
        self.judges: list[Judge] = []
        self.cluster = FakeCluster(tls=processes, resources=(INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, ROUTES))
        self.registry = FakeRegistry()
        self._setup: Setup = setup
        self._directory = directory
        self._rules = (*rules, LLMS)
        self._processes = processes
        self._wrapper = wrapper(mutant) if mutant else ()
        self._original: Original | None = None
        self._servers: Servers | None = None
        self._edits = 0
        self._registered: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.cluster)
            await stack.enter_async_context(self.registry)
            self.cluster.grant(TOKEN, USER, self._rules)
            self.cluster.add_namespace("models")
            variables = {
                "MODEL_REGISTRY_URLS": self.registry.url,
                "POLLING_INTERVAL": "5s",
                "NOT_READY_GRACE": _GRACE,
                "REMOVAL_HOLD": _HOLD,
                "SHARD_BUDGET": "8192",
            }
            if self._setup != "original":
                self._servers = await stack.enter_async_context(Servers(self.truth))
                variables |= self._servers.variables
            self._services = self._prepare(variables)
            feeds = [group[LOCATION] for group in self._services]
            if self._setup == "original":
                [group] = self._services
                del group[NORMALIZER]
                self._original = await stack.enter_async_context(Original(group[STORAGE].url, self.truth, TOKEN))
            for feed in feeds:
                self.judges.append(await stack.enter_async_context(Judge(feed.url, self.truth)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for group in self._services:
            await asyncio.gather(*(service.kill() for service in group.values()))
        await self._stack.aclose()

    def _prepare(self, variables: dict[str, str]) -> list[dict[str, Service | Process]]:
        """Return the services of each pod, those of the same process more than once."""
        secret = {"token": TOKEN, "ca.crt": self.cluster.ca_pem, "namespace": NAMESPACE}
        common = kubelet(self.cluster.url, self._directory)
        if not self._processes:  # it is read at any time, not only when a service starts
            os.environ.update(common | secret)
        groups: list[dict[str, Service | Process]] = []
        for number in range(2 if self._setup == "replicas" else 1):
            address = own_address() if self._processes else f"127.0.0.{2 + number}"
            if self._setup == "run":
                listen = f"{address}:{PORTS[LOCATION]}"
                service = self._service(
                    "connector",
                    url=f"http://{listen}",
                    arguments=["run", "--cluster", f"--address={listen}"],
                    environment=common | secret | variables,
                    directory=self._directory,
                )
                groups.append(dict.fromkeys(SERVICES, service))
            else:
                directory = self._directory / f"pod-{number}"
                directory.mkdir()
                given = containers_at(address, common, secret=secret, overrides=variables)
                groups.append({name: self._service(name, **given[name], directory=directory) for name in given})
        return groups

    def _service(self, name: str, *, directory: Path, **given: Any) -> Service | Process:
        if self._processes:
            return Service(name, **given, directory=directory, wrapper=self._wrapper)
        return Process(name, **given, log=self._directory / "log", loading=LOADING)

    # --- a run

    async def begin(self, names: Sequence[str]) -> None:
        """Start with these InferenceServices and two registered models, and wait until they are served."""
        for name in names:
            await self.do(Action("create", {"name": name}))
        for name in REGISTERED[:2]:
            await self.do(Action("register", {"name": name}))
        await self._start(SERVICES)
        await self.converged()

    async def do(self, action: Action) -> None:
        """Carry out one action and wait for its pause."""
        await getattr(self, f"_do_{action.kind}")(**action.arguments)
        await asyncio.sleep(action.pause)

    async def end(self) -> None:
        """Take back all faults, start what is not running, and wait until the truth is served."""
        await self._do_heal()
        await self._start(SERVICES)
        for judge in self.judges:
            judge.forget_names()
        await self.converged()

    async def converged(self) -> None:
        """Wait until every feed serves what the sources hold."""
        await asyncio.gather(*(judge.converged(CONVERGES) for judge in self.judges))

    @property
    def harm(self) -> list[str]:
        """What any reader saw that would have harmed a catalog, and services that ended by themselves."""
        ended = [
            f"{service.name} ended by itself with code {service.code}: see {service.log}"
            for group in self._services
            for service in set(group.values())
            if service.wanted and service.code is not None
        ]
        return [*(harm for judge in self.judges for harm in judge.harm), *ended]

    # --- InferenceServices

    async def _do_create(self, name: str) -> None:
        self._apply(name)

    async def _do_edit(self, name: str) -> None:
        if self.cluster.get(_kind(name), "models", name) is not None:
            self._edits += 1
            self._apply(name, owner=f"owner-{self._edits}")

    def _apply(self, name: str, *, owner: str = "someone") -> None:
        self.cluster.apply(_deployment(name, annotations={OWNER: owner}))
        self.truth.wants(isvc_uri(name), owner)

    async def _do_delete(self, name: str) -> None:
        self.truth.release(isvc_uri(name))
        if self.cluster.get(_kind(name), "models", name) is not None:
            self.cluster.delete(_kind(name), "models", name)

    async def _do_stop(self, name: str) -> None:
        self.truth.release(isvc_uri(name))
        self.cluster.apply(stopped(_deployment(name)))

    async def _do_opt_out(self, name: str) -> None:
        """Be marked to be left out; the next edit or creation takes the mark away."""
        self.truth.release(isvc_uri(name))
        self.cluster.apply(_deployment(name, annotations={IGNORE: "true"}))

    async def _do_flicker(self, name: str) -> None:
        """Be not ready for less than the grace: the entry stays."""
        uri = isvc_uri(name)
        if uri not in self.truth.wanted:
            return
        self.cluster.apply(not_ready(_deployment(name, annotations={OWNER: self.truth.wanted[uri]})))
        await asyncio.sleep(FLICKER)
        self._apply(name, owner=self.truth.wanted[uri])

    async def _do_break(self, name: str) -> None:
        """Be not ready for good: the entry leaves after the grace."""
        self.truth.release(isvc_uri(name))
        self.cluster.apply(not_ready(_deployment(name)))

    # --- the registry

    async def _do_register(self, name: str) -> None:
        uri = _version_uri(name)
        if name not in self._registered:
            model = self._registered[name] = self.registry.add_model(name)
            version = self.registry.add_version(model, "v1")
            self.registry.add_artifact(version, uri="s3://models/a")
        else:
            self.registry.restore(MODELS, self._registered[name])
        self.truth.wants(uri)

    async def _do_archive(self, name: str) -> None:
        if name in self._registered:
            self.truth.release(_version_uri(name))
            self.registry.archive(MODELS, self._registered[name])

    async def _do_registry(self, how: str, times: int | None) -> None:
        self.registry.fail(how, times=times)

    # --- servers that settings name

    async def _do_mlflow_register(self, name: str) -> None:
        if self._servers is not None:
            await self._servers.register(name)

    async def _do_mlflow_archive(self, name: str) -> None:
        if self._servers is not None:
            await self._servers.archive(name)

    async def _do_servers(self, how: str, times: int | None) -> None:
        if self._servers is not None:
            self._servers.fail(how, times)

    # --- faults of the API server

    async def _do_lists(self, how: str, times: int | None) -> None:
        if self._original is not None:
            self._original.fail(how, times or 1)
        criteria: dict[str, Any] = {"resource": "inferenceservices", "verb": "list", "times": times}
        if how == "hanging":
            self.cluster.fault("hang", **criteria)
        elif how == "truncated":
            self.cluster.fault("truncate", **criteria)
        elif how in ("empty", "half"):
            body = self._short_list(half=how == "half")
            self.cluster.fault("status", status=200, body=body, content_type="application/json", **criteria)
        else:
            self.cluster.fault("status", status=_STATUS[how], **criteria)
        self.cluster.disturb_watches("gone", "inferenceservices")

    def _short_list(self, *, half: bool) -> str:
        items = self.cluster.objects("InferenceService") if half else []
        return json.dumps(
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceServiceList",
                "metadata": {"resourceVersion": str(self.cluster.revision)},
                "items": items[::2],
            }
        )

    async def _do_watches(self, how: str, times: int | None) -> None:
        self.cluster.disturb_watches(how)

    async def _do_writes(self, how: str, times: int | None) -> None:
        self.truth.writes_fail("writes")
        for verb in ("patch", "create", "update"):
            criteria: dict[str, Any] = {"resource": "configmaps", "verb": verb, "times": times}
            if how == "lost answer":
                self.cluster.fault("drop_after", **criteria)
            else:
                self.cluster.fault("status", status=_STATUS[how], **criteria)

    async def _do_outage(self, seconds: float, lose_history: bool) -> None:
        self.truth.writes_fail("outage")
        await self.cluster.restart(lose_history=lose_history, down_for=seconds)
        self.truth.writes_succeed("outage")

    async def _do_revoke(self, seconds: float) -> None:
        self.truth.writes_fail("revoke")
        self.cluster.revoke(TOKEN)
        await asyncio.sleep(seconds)
        self.cluster.grant(TOKEN, USER, self._rules)
        self.truth.writes_succeed("revoke")

    async def _do_heal(self) -> None:
        self.cluster.clear_faults()
        self.registry.heal()
        if self._original is not None:
            self._original.heal()
        if self._servers is not None:
            self._servers.heal()
        self.truth.writes_succeed("writes")

    # --- the cache

    async def _do_cache(self, how: str, times: int | None) -> None:
        shards = [each for each in self.cluster.objects("ConfigMap", NAMESPACE) if each.get("binaryData")]
        if not shards:
            return
        shard = shards[self._edits % len(shards)]
        name = shard["metadata"]["name"]
        shard["metadata"].pop("resourceVersion", None)
        if how == "delete":
            self.cluster.delete("ConfigMap", NAMESPACE, name)
            return
        _damage(shard, how)
        self.cluster.apply(shard)

    # --- the processes

    async def _do_restart(self, services: Sequence[str], how: str, away: float) -> None:
        running = self._running(services)
        if how == "stop":  # a process that is still being loaded has no one yet who hears the signal
            await asyncio.gather(*(eventually(partial(self._answers, each)) for each in running))
        await asyncio.gather(*(service.kill() if how == "kill" else service.stop() for service in running))
        if self._original is not None and NORMALIZER in services:
            self._original.restart()
        await asyncio.sleep(away)
        await self._start(services)

    async def _do_freeze(self, services: Sequence[str], seconds: float) -> None:
        running = self._running(services)
        for service in running:
            service.freeze()
        await asyncio.sleep(seconds)
        for service in running:
            service.thaw()

    async def _do_leave(self, services: Sequence[str]) -> None:
        """Die, and stay away whatever else happens."""
        await asyncio.gather(*(service.kill() for service in self._running(services)))

    async def _do_come_back(self) -> None:
        await self._start(SERVICES)

    def _running(self, services: Sequence[str]) -> list[Service | Process]:
        """Return those of the services that run, of replicas one's."""
        groups = self._services if self._setup != "replicas" else [self._services[self._edits % 2]]
        victims = dict.fromkeys(group[name] for group in groups for name in services if name in group)
        running = [service for service in victims if service.wanted]
        for service in running:
            assert service.code is None, f"{service.name} ended by itself with code {service.code}: see {service.log}"
        return running

    async def _answers(self, service: Service | Process) -> bool:
        async with session(service.url) as http, http.get(f"{service.url}/healthz") as answer:
            return answer.status == 200

    async def _start(self, services: Sequence[str]) -> None:
        wanted = dict.fromkeys(group[name] for group in self._services for name in services if name in group)
        await asyncio.gather(*(service.start() for service in wanted if not service.wanted))


def _kind(name: str) -> str:
    return "LLMInferenceService" if name.startswith("llm-") else "InferenceService"


def _deployment(name: str, *, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    make = llm_isvc if name.startswith("llm-") else isvc
    return make(name, annotations=annotations)


def _damage(shard: dict[str, Any], how: str) -> None:
    data = shard["binaryData"]
    key = min(data)
    match how:
        case "unlabel":
            shard["metadata"].pop("labels", None)
        case "clear":
            del shard["binaryData"]
        case "truncate":
            data[key] = base64.b64encode(base64.b64decode(data[key])[:40]).decode()
        case "move":
            shard["data"] = {key: base64.b64decode(data.pop(key)).decode()}
        case "foreign" if "foreign" not in shard.get("data", {}):  # the API server refuses a key in both
            data["foreign"] = base64.b64encode(b"not ours").decode()
        case "duplicate":
            data[f"{key}-2"] = base64.b64encode(b"{").decode()


def _version_uri(model: str) -> str:
    return f"/{model}/v1/model-catalog.json"
