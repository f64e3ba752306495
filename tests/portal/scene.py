"""A world worth looking at: language models and predictive ones, registered or served or both, guarded or not, and odd.

Everything is made up. The models whose pages are judged have servers that answer; the registry is filled as OpenShift
AI's dashboard fills it: labels as properties without a value, an artifact that names the catalog model it is from.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.backstage import rich_set
from tests.backstage.readers import Reader
from tests.backstage.sidecars import Sidecars
from tests.backstage.world import World
from tests.fakes.kubernetes.manifests import load
from tests.fakes.model_server import ModelServer, Protocol
from tests.objects import isvc, service_account_for

SAID = "modelcatalogbridge.rhdh.io/"
LINKED = "modelregistry.opendatahub.io/"
DASHBOARD_LABELS = {"opendatahub.io/dashboard": "true", "networking.kserve.io/visibility": "exposed"}


@dataclass(frozen=True)
class Served:
    """A model with a server, and what a page about it must show."""

    title: str
    entity: str
    """The name of its Component, its API and its AiModelServerAPI."""
    model_entity: str
    """The name of its Resource."""
    name: str
    """The name to write in a request."""
    what: str
    """The beginning of the description of what it is."""
    protocol: Protocol
    guarded: bool
    owner: str
    owner_title: str
    licence: str = ""
    version: str = ""
    provider: str = ""
    system: str = ""
    card: str = ""
    """Words of its card."""


GRANITE = Served(
    title="Granite 3.3 8B Instruct",
    entity="granite-33-8b-instruct",
    model_entity="Granite338BInstruct-10",
    name="granite-33-8b-instruct",
    what="A made-up language model with 8 billion parameters",
    protocol="openai",
    guarded=False,
    owner="group:default/assistants-team",
    owner_title="Assistants Team",
    licence="Apache-2.0",
    version="1.0",
    provider="IBM",
    system="assistants",
    card="Chrysoberyl",
)
LLAMA = Served(
    title="Llama 3.1 8B Instruct (FP8)",
    entity="assistants-llama-31-8b",
    model_entity="assistants-llama-31-8b",
    name="llama-31-8b",
    what="A made-up assistant for people who like lists",
    protocol="openai",
    guarded=True,
    owner="user:default/jane.doe",
    owner_title="Jane Doe",
    system="assistants",
)
FRAUD = Served(
    title="Card fraud score",
    entity="card-fraud",
    model_entity="Cardfraudscore-21",
    name="card-fraud",
    what="Scores card payments between 0 and 1",
    protocol="open-inference",
    guarded=False,
    owner="group:default/payments-risk",
    owner_title="Payments Risk",
    licence="MIT",
    version="2.1",
    provider="Example",
    system="payments",
)
IRIS = Served(
    title="Iris",
    entity="scoring-iris",
    model_entity="scoring-iris",
    name="iris",
    what="Tells three flowers apart",
    protocol="kserve-v1",
    guarded=False,
    owner="user:default/jane.doe",
    owner_title="Jane Doe",
)
SERVED = (GRANITE, LLAMA, FRAUD, IRIS)

CARD = """---
license: apache-2.0
language: [en, de]
pipeline_tag: text-generation
---
# Granite-3.3-8B-Instruct

**Model summary:** a made-up card. The code name was Chrysoberyl.
Capabilities:
* Thinking
* Summaries
* Answers with \\<think\\> and \\</think\\>

| Benchmark | Score |
|---|---|
| Arithmetic | 61 |

![How it is built](https://example.com/granite.png)

```python
print("räksmörgås 模型 🚀")
```

<script>document.title = "taken over"</script>
"""


class Scene:
    """An async context manager: the model servers, the sources and the connector's three services are up inside it.

    `servers` are the model servers, by the name of their entity; `environment` goes to the services.
    """

    def __init__(self, directory: Path, *, odd: bool = True, **environment: str) -> None:
        self.world = World(directory)
        self.servers = {
            model.entity: ModelServer(model.name, model.protocol, guarded=model.guarded) for model in SERVED
        }
        self.sidecars: Sidecars
        self._odd = odd
        self._environment = environment
        self._stack = contextlib.AsyncExitStack()

    @classmethod
    def read_by(cls, reader: Reader, directory: Path, *, odd: bool = True) -> Self:
        """Return a scene whose connector is set up for this reader, as deploy/ sets it up."""
        both = "true" if reader is Reader.SECOND_AND_PLAIN else "false"
        return cls(directory, odd=odd, BOTH_FEEDS=both)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.world)
            for server in self.servers.values():
                await stack.enter_async_context(server)
            self._register()
            self._serve()
            self._add_examples()
            if self._odd:
                self._add_odd_ones()
            self.sidecars = await self.world.connect(**self._environment)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def feed(self) -> str:
        """The base URL that a portal reads, by the name that the shipped configuration has for it."""
        return self.sidecars.feed.replace("127.0.0.1", "localhost")

    def address(self, model: Served) -> str:
        """Return where the model is called: for an OpenAI server with the version, as its clients want it."""
        url = self.route(model)
        return f"{url}/v1" if model.protocol == "openai" else url

    def route(self, model: Served) -> str:
        """Return the address of a model server outside the cluster; names below `localhost` lead to this machine."""
        return self.servers[model.entity].url.replace("127.0.0.1", f"{model.name}.apps.localhost")

    def _register(self) -> None:
        registry = self.world.registry
        granite = registry.add_model(
            "Granite 3.3 8B Instruct",
            description=f"{GRANITE.what}, tuned to follow instructions.",
            owner="kube:admin",
            provider=GRANITE.provider,
            properties={
                "Owner": GRANITE.owner,
                "License": "apache-2.0",
                "Provider": GRANITE.provider,
                "_registeredFromCatalogRepositoryName": "redhat_ai_models",
                "_lastModified": "2025-11-03T09:12:44.018Z",
                "validated": "",
                "accuracy": 0.61,
            },
        )
        version = registry.add_version(granite, GRANITE.version, author="jane", properties={"f1": "0.87"})
        registry.add_artifact(
            version,
            name="Granite 3.3 8B Instruct-1.0",
            uri="oci://registry.example.com/granite-3.3-8b-instruct:1.0",
            modelSourceKind="catalog",
            modelSourceClass="redhat_ai_models",
            modelSourceName="example/granite-3.3-8b-instruct",
        )
        self.world.catalog.put_card("redhat_ai_models", "example/granite-3.3-8b-instruct", CARD, provider="IBM")
        self._granite = {LINKED + "registered-model-id": granite, LINKED + "model-version-id": version}

        fraud = registry.add_model(
            FRAUD.title,
            description=f"{FRAUD.what}. Trained weekly.",
            properties={"Owner": FRAUD.owner, "License": "MIT", "Provider": FRAUD.provider, "task": "tabular"},
        )
        version = registry.add_version(fraud, FRAUD.version)
        registry.add_artifact(version, name="fraud", uri="s3://models/fraud/2.1", modelFormatName="onnx")
        self._fraud = {LINKED + "registered-model-id": fraud, LINKED + "model-version-id": version}

        forecast = registry.add_model("Demand forecast", description="Not deployed yet.", owner="jane.doe")
        registry.add_artifact(registry.add_version(forecast, "0.9"), name="forecast", uri="s3://models/forecast/0.9")

    def _serve(self) -> None:
        vllm: dict[str, Any] = {"runtime": "vllm-cuda-runtime", "model_format": "vLLM"}
        self._apply(GRANITE, "granite-33-8b-instruct", "assistants", **vllm, linked=self._granite)
        self._apply(LLAMA, "llama-31-8b", "assistants", **vllm)
        self._apply(FRAUD, "card-fraud", "scoring", runtime="kserve-ovms", model_format="onnx", linked=self._fraud)
        self._apply(IRIS, "iris", "scoring", model_format="sklearn", protocolVersion="v1")

    def _apply(
        self,
        model: Served,
        name: str,
        namespace: str,
        *,
        model_format: str,
        runtime: str | None = None,
        linked: Mapping[str, str] | None = None,
        **predictor: Any,
    ) -> None:
        annotations = {"openshift.io/display-name": model.title, "security.opendatahub.io/enable-auth": "false"}
        if model.system:
            annotations["rhdh.io/system"] = model.system
        if not linked:
            annotations |= {SAID + "description": f"{model.what}.", SAID + "owner": model.owner}
        obj = isvc(
            name,
            namespace,
            url=self.route(model),
            labels={**DASHBOARD_LABELS, **(linked or {})},
            annotations=annotations,
            runtime=runtime,
            model_format=model_format,
            storage_uri=f"s3://models/{name}",
        )
        obj["spec"]["predictor"]["model"].update(predictor)
        if model.guarded:
            obj["metadata"]["annotations"]["security.opendatahub.io/enable-auth"] = "true"
        self.world.cluster.apply(obj)
        if model.guarded:
            self.world.cluster.apply(service_account_for(obj))

    def _add_examples(self) -> None:
        """Add what a cluster would hold of the examples, not what is below them for other tools."""
        for file in sorted((rich_set.ROOT / "examples").glob("*.[yj]*")):
            for obj in load(file):
                if obj["kind"] in rich_set.FOLLOWED:
                    self.world.cluster.apply(obj)

    def _add_odd_ones(self) -> None:
        """Add models whose names and texts are hostile; no page may suffer from them."""
        for name, said in rich_set.HOSTILE.items():
            annotations = {SAID + key: text for key, text in said.items()}
            self.world.cluster.apply(isvc(f"hostile-{name}", annotations=annotations, labels=rich_set.LABELS))
        for name in rich_set.NAMES:
            model = self.world.registry.add_model(name, description=name, owner=name, readme=f"# {name}\n")
            self.world.registry.add_version(model, "1.0 RC 1", properties=rich_set.PROPERTIES)
