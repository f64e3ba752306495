"""A model version as readers need it, from a document and its details."""

from typing import Any

import pytest

from common.details import DetailLink, Details, ServerType
from services.location import annotations
from services.location.view import View, views_of
from tests.location.world import document


def view(details: Details | None = None, **fields: Any) -> View:
    (found,) = views_of(document("m", called="m", **fields), details or Details(), key="a_1")
    return found


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0", "1.0.0"),
        ("1", "1.0.0"),
        ("v2.3.4", "2.3.4"),
        ("1.2.3-rc.1", "1.2.3-rc.1"),
        ("01.2", "1.2.0"),
        ("1.2.3.4", ""),
        ("latest", ""),
        ("", ""),
    ],
)
def test_versions_as_three_numbers(version: str, expected: str) -> None:
    assert view(Details(version=version)).semantic_version == expected


@pytest.mark.parametrize(
    ("url", "tags", "expected"),
    [
        ("https://m.example.com", (), "https://m.example.com/v1"),
        ("https://m.example.com/", (), "https://m.example.com/v1"),
        ("https://m.example.com/ns/name", (), "https://m.example.com/ns/name/v1"),
        ("https://m.example.com/v1", (), "https://m.example.com/v1"),
        ("https://m.example.com/openai/v1/", (), "https://m.example.com/openai/v1"),
        ("https://m.example.com", ("kserve-huggingfaceserver",), "https://m.example.com/openai/v1"),
        ("https://m.example.com/v10", (), "https://m.example.com/v10/v1"),
    ],
)
def test_the_base_url_of_an_openai_server(url: str, tags: tuple[str, ...], expected: str) -> None:
    server = view(Details(server_type="openai-v1"), api={"url": url}, tags=tags).server
    assert server
    assert server.base_url == expected


def test_addresses_inside_and_outside_are_base_urls_too() -> None:
    inside, outside = "http://m-predictor.ns.svc.cluster.local:8080", "https://m.apps.example.com"
    annotations = {
        "rhdh.modelcatalog.io/internal-service-url": inside,
        "rhdh.modelcatalog.io/external-route-url": outside,
    }
    api = {"url": outside, "annotations": annotations}
    served: dict[ServerType, str] = {"openai-v1": "/v1", "kserve-v1": ""}
    for server_type, suffix in served.items():
        server = view(Details(server_type=server_type), api=api).server
        assert server
        assert (server.internal_url, server.external_url) == (inside + suffix, outside + suffix)
    server = view(Details(server_type="openai-v1"), api={"url": outside}).server
    assert server
    assert (server.internal_url, server.external_url) == ("", "")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("vllm",), "openai-v1"),
        (("vllm-cuda-runtime",), "openai-v1"),
        (("kserve-tritonserver",), "open-inference-protocol-v2"),
        (("onnx-1",), ""),
        ((), ""),
    ],
)
def test_a_document_without_details_is_judged_by_the_names_of_runtimes(tags: tuple[str, ...], expected: str) -> None:
    server = view(tags=tags).server
    assert server
    assert server.server_type == expected


def test_details_are_not_guessed_over() -> None:
    server = view(Details(kind="InferenceService"), tags=("vllm",)).server
    assert server
    assert server.server_type == ""


def test_people_say_what_their_server_speaks() -> None:
    stored = document("m", called="m")
    stored["modelServer"]["annotations"] = {"rhdh.io/serverType": "kserve-v1", "rhdh.io/system": "shop"}
    (found,) = views_of(stored, Details(server_type="openai-v1"), key="a_1")
    assert found.server
    assert (found.server.server_type, found.system) == ("kserve-v1", "shop")


def test_tags_answer_what_people_ask_of_a_catalog() -> None:
    found = view(
        Details(server_type="openai-v1", tasks=("feature-extraction",), provider="Red Hat", license="Apache-2.0")
    )
    assert found.tags == ("feature-extraction", "red-hat", "apache-2-0", "openai-v1", "embeddings")


def test_links_are_pages_that_a_browser_opens_each_once() -> None:
    details = Details(
        links=(DetailLink("https://d.example.com", "Deployment", "dashboard"), DetailLink("https://bad host/", "x"))
    )
    found = view(
        details,
        license="https://spdx.org/licenses/MIT.html",
        howToUseURL="https://d.example.com",
        artifactLocationURL="s3://bucket/path",
    )
    assert [(link.title, link.url) for link in found.links] == [
        ("Deployment", "https://d.example.com"),
        ("License: MIT", "https://spdx.org/licenses/MIT.html"),
    ]
    assert found.files == "s3://bucket/path"
    assert found.page == "https://d.example.com"


def test_files_behind_a_browsable_address_are_a_link() -> None:
    found = view(artifactLocationURL="https://huggingface.co/ibm/granite")
    assert [link.title for link in found.links] == ["Model files"]
    assert found.files == ""


@pytest.mark.parametrize(
    ("title", "version", "expected"),
    [
        ("Granite", "1.0", "Granite 1.0"),
        ("Granite 1.0", "1.0", "Granite 1.0"),
        ("Granite", "", "Granite"),
        ("", "1", "m"),
    ],
)
def test_the_title_of_a_version(title: str, version: str, expected: str) -> None:
    assert view(Details(title=title, version=version)).version_title == expected


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        ("InferenceService", "serving.kserve.io/inferenceservice=d"),
        ("LLMInferenceService", "app.kubernetes.io/part-of=llminferenceservice,app.kubernetes.io/name=d"),
        ("Elsewhere", None),
    ],
)
def test_the_pods_of_a_deployment_are_found_by_its_labels(kind: str, selector: str | None) -> None:
    found = view(Details(kind=kind, namespace="n", deployment="d"))
    assert found.server
    marks = annotations.of_server(found, found.server)
    assert marks.get("backstage.io/kubernetes-label-selector") == selector


@pytest.mark.parametrize("cluster", ["prod-eu", ""])
def test_the_pods_are_looked_for_in_the_cluster_of_the_deployment(cluster: str) -> None:
    found = view(Details(kind="InferenceService", namespace="n", deployment="d", cluster=cluster))
    assert found.server
    marks = annotations.of_server(found, found.server)
    assert marks.get("backstage.io/kubernetes-cluster", "") == cluster


def test_fields_of_the_wrong_type_from_other_writers_count_as_absent() -> None:
    stored = {
        "models": [{"name": "m", "description": 3, "owner": None}],
        "modelServer": {"name": "s", "API": {"url": 1}},
    }
    (found,) = views_of(stored, Details(), key="a_1")
    assert (found.about, found.owner, found.server) == ("", "user:unknown", None)
