"""docs/sources.md says for each kind of source which rules it keeps, and names a test for each."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from common.kube.client import LIST_TIMEOUT, PAGE_SIZE
from common.kube.reflector import ReflectorOptions
from services.normalizer import service
from services.normalizer.normalize.answers import MOST_MODELS
from services.normalizer.normalize.cards import CARD_LIMIT
from services.normalizer.sources import manifest_files, manifests, mlflow_lists, openai_servers
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow import paging
from services.normalizer.sources.refs import Api
from services.normalizer.sources.registry_manager import PollingOptions

ROOT = Path(__file__).parents[2]
RULES = ["time-outs", "back-off", "paging", "bounds", "completeness", "TLS", "metrics", "remedies"]
MIB = 1024 * 1024
KUBERNETES, REGISTRIES, CATALOGS, MLFLOW, OPENAI, MANIFESTS = (
    "InferenceServices, LLMInferenceServices",
    "Kubeflow model registries",
    "Model catalogs",
    "MLflow servers",
    "OpenAI-compatible servers",
    "Manifests",
)
KINDS = {"manifests": MANIFESTS, "openai": OPENAI}
APIS = {"kubeflow": REGISTRIES, "mlflow": MLFLOW, "openai": OPENAI}
_OPTIONS, _POLLING = ReflectorOptions(), PollingOptions()
_CONNECTOR: dict[str, Any] = {field.name: field.default for field in fields(Connector)}
_REQUEST = f"{_CONNECTOR['timeout']:g} s"
_ANSWER = f"{_CONNECTOR['body_limit'] // MIB} MiB an answer"
VALUES = {
    (KUBERNETES, "time-outs"): [f"{LIST_TIMEOUT:g} s", _REQUEST, f"{_OPTIONS.idle:g} s"],
    (KUBERNETES, "back-off"): [f"{_OPTIONS.backoff[0]:g} s", f"{_OPTIONS.backoff[1]:g} s", f"{_OPTIONS.list_gap:g} s"],
    (KUBERNETES, "paging"): [f"{PAGE_SIZE}"],
    (REGISTRIES, "time-outs"): [_REQUEST],
    (REGISTRIES, "back-off"): [f"{_POLLING.retry:g} s"],
    (REGISTRIES, "paging"): [f"{size:,}" for size in paging.PAGE_SIZES],
    (REGISTRIES, "bounds"): [
        *(f"{paging.MAX_ITEMS:,} items", f"{paging.MAX_PAGES:,} pages", f"{paging.MAX_BYTES // MIB} MiB"),
        _ANSWER,
    ],
    (CATALOGS, "time-outs"): [_REQUEST],
    (CATALOGS, "back-off"): [f"{_POLLING.retry:g} s"],
    (CATALOGS, "bounds"): [f"{CARD_LIMIT // 10**6} MB"],
    (MLFLOW, "time-outs"): [_REQUEST],
    (MLFLOW, "back-off"): [f"{_POLLING.retry:g} s"],
    (MLFLOW, "paging"): [f"{size:,}" for size in mlflow_lists.PAGE_SIZES],
    (MLFLOW, "bounds"): [f"{mlflow_lists.MAX_ITEMS:,} items", f"{mlflow_lists.MAX_BYTES // MIB} MiB", _ANSWER],
    (OPENAI, "time-outs"): [_REQUEST],
    (OPENAI, "back-off"): [f"{openai_servers.RETRY:g} s"],
    (OPENAI, "bounds"): [f"{MOST_MODELS} models", _ANSWER],
    (MANIFESTS, "back-off"): [f"{manifests.INTERVAL:g} s"],
    (MANIFESTS, "bounds"): [f"{manifest_files._MAX_BYTES // MIB} MiB"],
}
"""What the code says of a rule, as it stands in the page."""


def sections() -> dict[str, dict[str, tuple[str, str]]]:
    """The page's tables: by heading and rule, how it is kept and the test."""
    page = (ROOT / "docs" / "sources.md").read_text()
    found = {}
    for section in page.split("\n### ")[1:]:
        heading, _, text = section.partition("\n")
        rows = re.findall(r"^\| ([\w-]+) \| (.+) \| `(.+)` \|$", text, re.MULTILINE)
        found[heading] = {rule: (kept, test) for rule, kept, test in rows}
    return found


def test_every_kind_has_its_table_and_every_table_its_rules() -> None:
    assert list(sections()) == [KUBERNETES, REGISTRIES, CATALOGS, MLFLOW, OPENAI, MANIFESTS]
    assert {heading: list(rules) for heading, rules in sections().items() if list(rules) != RULES} == {}


def test_every_kind_in_the_registers_is_on_the_page() -> None:
    assert KINDS.keys() == service.KINDS.keys()
    assert APIS.keys() == set(get_args(get_args(Api)[0])) | set(get_args(get_args(Api)[1]))
    assert {*KINDS.values(), *APIS.values()} < sections().keys()


@pytest.mark.parametrize(("heading", "rule"), VALUES)
def test_the_values_are_those_of_the_code(heading: str, rule: str) -> None:
    kept, _ = sections()[heading][rule]
    assert [value for value in VALUES[heading, rule] if value not in kept] == []


@pytest.mark.parametrize("test", sorted({test for rules in sections().values() for _, test in rules.values()}))
def test_the_named_test_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert re.search(rf"\bdef {name}\(", (ROOT / path).read_text()), f"there is no {test}"


def test_what_is_quoted_of_the_toy_source_stands_in_it() -> None:
    toy = "".join((ROOT / "tests" / "normalizer" / "test_toy_source.py").read_text().split())
    quoted = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adding-a-source.md").read_text(), re.DOTALL)
    assert len(quoted) > 4
    assert [block for block in quoted if "".join(block.split()) not in toy] == []
