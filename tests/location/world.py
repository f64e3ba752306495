"""A world of models, one for each kind of runtime, as the normalizer stores them: documents and their details."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common.details import DetailLink, Details
from common.wire import Upsert

DASHBOARD = "https://dashboard.example.com/ai-hub/deployments"
REGISTRY = "https://dashboard.example.com/ai-hub/registry/default-registry/registered-models"
CARD_KEY = "redhat_ai_modelsRedHatAI/granite-3.3-8b-instruct"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A model of one kind: what its server speaks, under which name and with which token."""

    name: str
    speaks: str
    """The protocol of the stub that stands for it."""
    called: str
    token: bool = False
    details: Details
    document: dict[str, Any]
    card_key: str = ""

    @property
    def key(self) -> str:
        return f"world_{self.name}"

    def upsert(self, url: str | None = None, *, bare: bool = False) -> Upsert:
        """The stored entry; its server is at `url`, and without details when it is `bare`."""
        document = json.loads(json.dumps(self.document))
        if url is not None and "modelServer" in document:
            document["modelServer"]["API"]["url"] = url
        return Upsert(
            key=self.key,
            body=json.dumps(document).encode(),
            reconciler="kserve",
            details=b"" if bare else self.details.encode(),
            card_key=self.card_key,
        )


def document(
    name: str,
    *,
    called: str,
    about: str = "",
    token: bool = False,
    tags: Iterable[str] = (),
    served: bool = True,
    api: dict[str, Any] | None = None,
    **model: Any,
) -> dict[str, Any]:
    """A document as the normalizer writes it."""
    common = {"name": name, "owner": "assistants-team", "lifecycle": "production", "description": about}
    first = {
        **common,
        "tags": list(tags),
        "annotations": {"rhdh.modelcatalog.io/model-name": called, **model.pop("annotations", {})},
        **model,
    }
    if not served:
        return {"models": [first]}
    address = {"url": f"https://{name}.apps.example.com", "type": "openapi", "spec": "TBD", "tags": list(tags)}
    server = {**common, "API": {**address, **(api or {})}, "authentication": token, "tags": list(tags)}
    return {"models": [first], "modelServer": server}


def deployment(name: str, kind: str = "InferenceService") -> dict[str, Any]:
    """The details of how a model is deployed."""
    return {
        "kind": kind,
        "namespace": "ai",
        "deployment": name,
        "links": (DetailLink(f"{DASHBOARD}/ai/{name}", "Deployment in OpenShift AI", "dashboard"),),
    }


KINDS = (
    Kind(
        name="chat",
        speaks="openai-v1",
        called="granite-33-8b-instruct",
        token=True,
        card_key=CARD_KEY,
        details=Details(
            title="Granite 3.3 8B Instruct",
            owner="group:default/assistants-team",
            system="ai-assistants",
            names=("granite-33-8b-instruct", "granite-lora-french"),
            server_type="openai-v1",
            tasks=("text-generation",),
            registry="default-registry",
            model="Granite 3.3 8B Instruct",
            version="1.0",
            provider="IBM",
            license="Apache-2.0",
            **{
                **deployment("granite-33-8b-instruct"),
                "links": (
                    DetailLink(f"{DASHBOARD}/ai", "Deployment in OpenShift AI", "dashboard"),
                    DetailLink(f"{REGISTRY}/1/versions/1", "Registry: version 1.0", "catalog"),
                ),
            },
        ),
        document=document(
            "granite-33-8b-instruct",
            called="granite-33-8b-instruct",
            about="An 8-billion parameter language model with 128K of context.",
            token=True,
            tags=("vllm",),
            license="https://spdx.org/licenses/Apache-2.0.html",
            artifactLocationURL="oci://registry.example.com/models/granite:1.0",
            ethics="Answers may be wrong.",
            support="#assistants in the chat of the company",
            annotations={"TechDocs": f"http://localhost:9090/modelcard?key={CARD_KEY.replace('/', '%2F')}"},
        ),
    ),
    Kind(
        name="embeddings",
        speaks="openai-v1",
        called="bge m3's",
        details=Details(
            title="BGE M3",
            names=("bge m3's",),
            server_type="openai-v1",
            tasks=("feature-extraction",),
            version="2024-06",
            **deployment("bge-m3", "LLMInferenceService"),
        ),
        document=document("bge-m3", called="bge m3's", about="Embeds texts in a hundred languages.", tags=("vllm",)),
    ),
    Kind(
        name="huggingface",
        speaks="openai-hf",
        called="qwen",
        details=Details(server_type="openai-v1", names=("qwen",), **deployment("qwen")),
        document=document("qwen", called="qwen", about="Qwen 2.5", tags=("huggingface", "kserve-huggingfaceserver")),
    ),
    Kind(
        name="tensors",
        speaks="open-inference-protocol-v2",
        called="fraud/card",
        token=True,
        details=Details(
            title="Card fraud score",
            owner="group:default/payments-risk",
            names=("fraud/card",),
            server_type="open-inference-protocol-v2",
            tasks=("tabular-classification",),
            version="v2",
            **deployment("fraud"),
        ),
        document=document("fraud", called="fraud/card", about="Scores card payments.", token=True, tags=("onnx-1",)),
    ),
    Kind(
        name="instances",
        speaks="kserve-v1",
        called="iris",
        details=Details(names=("iris",), server_type="kserve-v1", **deployment("iris")),
        document=document("iris", called="iris", about="Tells irises apart.", tags=("tensorflow-2",)),
    ),
    Kind(
        name="grpc",
        speaks="grpc",
        called="parts",
        details=Details(title="Spare parts", names=("parts",), server_type="grpc", **deployment("parts")),
        document=document("parts", called="parts", about="Finds spare parts in pictures.", tags=("triton",)),
    ),
    Kind(
        name="unknown",
        speaks="",
        called="mystery",
        details=Details(title="Mystery", **deployment("mystery")),
        document=document("mystery", called="mystery", about="A server of our own.", token=True),
        token=True,
    ),
    Kind(
        name="own-definition",
        speaks="",
        called="weather",
        details=Details(title="Weather", **deployment("weather")),
        document=document(
            "weather",
            called="weather",
            about="Forecasts the weather.",
            api={"spec": "openapi: 3.0.3\ninfo: {title: Weather, version: '1'}\npaths: {}\n"},
        ),
    ),
    Kind(
        name="registered",
        speaks="",
        called="churn-3",
        details=Details(
            title="Churn",
            registry="default-registry",
            model="Churn",
            version="3",
            owner="group:default/retention",
            location="/models/churn in the bucket of the connection warehouse",
            connection="warehouse",
            links=(DetailLink(f"{REGISTRY}/7/versions/9", "Registry: version 3", "catalog"),),
        ),
        document=document("churn-3", called="churn-3", about="Predicts who leaves.", served=False, tags=("sklearn-1",)),
    ),
)
