"""Models of every sort: the examples, the golden cases, collisions, Unicode, names at the limit, hostile values."""

import copy
import json
from pathlib import Path
from typing import Any

from tests.backstage.readers import Reader
from tests.backstage.world import World
from tests.fakes.kubernetes.manifests import load
from tests.objects import isvc, predictor_service, service_account_for

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
FOLLOWED = {"InferenceService", "Service", "ServiceAccount"}
SAID = "modelcatalogbridge.rhdh.io/"

CARD = """# Granite

It thinks between \\<think\\> and \\</think\\>, with
* low latency
* long context

![architecture](https://example.com/granite.png)

| benchmark | score |
|---|---|
| MMLU | 61 |

See [the paper](https://arxiv.org/abs/2405.04324). <script>alert(1)</script>

```python
print("räksmörgås 模型 🚀")
```
"""

CARD_HOLDERS = {
    Reader.FIRST_GENERATION: "resource:default/granite-8b-v1",
    Reader.SECOND_GENERATION: "aimodelserverapi:default/granite",
    Reader.PLAIN: "resource:default/granite-8b-v1",
    Reader.SECOND_AND_PLAIN: "aimodelserverapi:default/granite",
}
"""Whose documentation the card is, for each reader."""

HOSTILE: dict[str, dict[str, str]] = {
    "prose": {
        "license": "Apache 2.0, more or less",
        "howtouse": "Ask Bob: he knows",
        "homepageurl": "none yet",
        "techdocs": "see the wiki",
        "apitype": "REST",
    },
    "script": {
        "description": "</script><script>alert(1)</script> \x00\x1b[31m\u202e'\"; DROP TABLE entities;--",
        "homepageurl": "javascript:alert(1)",
        "howtouse": "https://a b.example/",
        "license": "https://xn--a/",
    },
    "owner-reference": {"owner": "group:default/ml-platform", "lifecycle": "  "},
    "owner-mail": {"owner": "Jürgen Müller <jm@example.com>", "lifecycle": "in Produktion\nseit gestern"},
    "owner-nothing": {"owner": "…", "description": "", "apispec": ""},
    "long": {"description": "long " * 4000, "usage": "u" * 20_000, "owner": "o" * 300, "lifecycle": "l" * 300},
    "definition": {"apispec": "openapi: 3.1.0\ninfo: {title: räksmörgås 🚀}\n" + "# filler\n" * 12_000},
    "yaml": {"description": "---\nkind: Location\n--- \u2028\u0085 {{ title }} ${{ x }} $ref: ./a $text: ./b"},
}
LABELS = {
    "app.kubernetes.io/part-of": "Fraud_Detection.v2",
    "UPPER": "CASE",
    "a.b.c/d": "",
    "x" * 63: "y" * 63,
    "prefix.example.com/" + "z" * 63: "Z",
}
NAMES = [
    "Llama 3.1 (70B) — Instruct",
    "granite_code",
    "granite.code",
    "granite code",
    "GraniteCode",
    "模型",
    "модель",
    "../../etc/passwd",
    "a" * 63,
    "a" * 64,
    "-_.-",
    "🚀",
    "CON",
    "%2e%2e%2f",
    "x" * 250,
]


PROPERTIES: dict[str, Any] = {
    "Owner": "Ops / Team #1",
    "License": "apache-2.0",
    "How to use": "Read the card: it says how.",
    "Homepage URL": "example.com",
    "TechDocs": "ftp://files.example.com/card",
    "API Spec": "",
    "Tag With Blanks": "ÄÖÜ",
    "_lastModified": "2025-03-05T14:22:11.123Z",
    "constructor": "__proto__",
    "task": "text-generation",
    "weight": 0.5,
    "nested": {"metadataType": "MetadataStructValue", "struct_value": "e30="},
    "unheard-of": {"metadataType": "MetadataQuantumValue", "quantum_value": "|0>"},
}


def fill(world: World) -> None:
    """Put everything into the cluster and the registries."""
    fill_cluster(world)
    fill_registries(world)


def fill_cluster(world: World) -> None:
    """InferenceServices with what the controllers make for them."""
    cluster = world.cluster
    # Not the folders below: what Kustomize renders, and CI.
    for file in sorted((ROOT / "examples").glob("*.[yj]*")):
        for obj in load(file):
            if obj["kind"] in FOLLOWED:
                cluster.apply(obj)
    for case in sorted(GOLDEN.joinpath("kserve").glob("*.json")):
        for obj in json.loads(case.read_text())["objects"]:
            cluster.apply(obj)
    for name, said in HOSTILE.items():
        annotations = {SAID + key: text for key, text in said.items()}
        cluster.apply(isvc(f"hostile-{name}", annotations=annotations, labels=LABELS))
    longest = isvc("n" * 63, "m" * 63, url="https://longest.example.com")
    guarded = isvc("guarded", annotations={SAID + "owner": "vision"})
    inside = isvc("inside", url="http://inside.models.svc.cluster.local", storage_uri="pvc://claim/päth with blanks")
    without_uri = isvc("without-uri", storage_uri=None, format_version="1.2 Beta")
    collisions = [isvc("c", "a-b"), isvc("b-c", "a"), isvc("x.y", "dots"), isvc("xy", "dots")]
    for obj in (longest, guarded, inside, without_uri, *collisions):
        cluster.apply(obj)
    cluster.apply(predictor_service(inside))
    cluster.apply(service_account_for(guarded))


def fill_registries(world: World) -> None:
    """Two registries that have much in common, and a catalog with cards."""
    answers: dict[str, Any] = json.loads(GOLDEN.joinpath("registry", "registry.json").read_text())
    for obj in answers.pop("objects", []):
        world.cluster.apply(obj)
    world.registry.load(copy.deepcopy(answers))
    for registry in (world.registry, world.second_registry):
        shared = registry.add_model("shared", description="in both registries", owner="kube:admin")
        registry.add_artifact(registry.add_version(shared, "v1"), name="shared", uri="s3://bucket/shared")
    for name in NAMES:
        model = world.registry.add_model(name, description=name, owner=name, readme=f"# {name}\n")
        version = world.registry.add_version(model, "1.0 RC 1", properties=PROPERTIES)
        world.registry.add_artifact(version, name=f"{name}-artifact", uri="oci://quay.example.com/ä b:1")
    add_card(world)
    archived = world.registry.add_model("archived")
    world.registry.add_version(archived, "v1")
    world.registry.archive("registered_models", archived)
    hidden = world.registry.add_version(world.registry.add_model("half-archived"), "old")
    world.registry.archive("model_versions", hidden)


def add_card(world: World) -> None:
    """A model from the catalog whose card has what cards have, served by an InferenceService."""
    model = world.registry.add_model("granite-8b", description="From the catalog")
    version = world.registry.add_version(model, "v1")
    world.registry.add_artifact(
        version,
        name="granite-8b-v1",
        uri="oci://registry.example.com/granite:8b",
        modelSourceKind="catalog",
        modelSourceClass="red hat",
        modelSourceGroup="rhelai1",
        modelSourceName="granite-8b",
    )
    write_card(world, CARD)
    labels = {"registered-model-id": model, "model-version-id": version, "name": "public"}
    prefix = "modelregistry.opendatahub.io/"
    world.cluster.apply(isvc("granite", labels={prefix + key: value for key, value in labels.items()}))


def write_card(world: World, text: str) -> None:
    """Let the catalog's model have this card."""
    world.catalog.put_card("red hat", "rhelai1/granite-8b", text)
