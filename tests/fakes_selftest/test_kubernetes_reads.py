"""get, list and discovery of the fake API server."""

from urllib.parse import quote

import pytest

from tests import objects
from tests.fakes.kubernetes import LLM_INFERENCE_SERVICES, FakeCluster
from tests.fakes_selftest.kubernetes_client import CONFIG_MAPS, CORE, ISVCS, KSERVE, PARTIAL, PARTIAL_LIST, Client


@pytest.fixture
def five(cluster: FakeCluster) -> FakeCluster:
    for name in "abcde":
        cluster.apply(objects.isvc(name, labels={"letter": name} | ({"vowel": ""} if name in "ae" else {})))
    return cluster


async def test_get_says_what_it_is(client: Client, five: FakeCluster) -> None:
    answer = await client.get(f"{ISVCS}/a")
    assert answer.json == five.get("inferenceservices", "models", "a")
    missing = await client.get(f"{ISVCS}/zzz")
    assert missing.status == 404
    assert missing.json["message"] == 'inferenceservices.serving.kserve.io "zzz" not found'


async def test_lists_are_ordered_by_namespace_and_name(client: Client, five: FakeCluster) -> None:
    five.apply(objects.isvc("z", "alpha"))
    everywhere = await client.get(f"{KSERVE}/inferenceservices")
    assert everywhere.json["kind"] == "InferenceServiceList"
    assert everywhere.names == ["z", "a", "b", "c", "d", "e"]
    assert everywhere.version == str(five.revision)
    assert (await client.get(ISVCS)).names == ["a", "b", "c", "d", "e"]


async def test_only_items_of_custom_types_carry_their_kind(client: Client, five: FakeCluster) -> None:
    five.apply(objects.configmap("cache"))
    assert (await client.get(ISVCS)).json["items"][0]["kind"] == "InferenceService"
    assert "kind" not in (await client.get(CONFIG_MAPS)).json["items"][0]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("letter=a", "a"),
        ("letter==b", "b"),
        ("letter!=a", "bcde"),
        ("missing!=a", "abcde"),
        ("letter in (a, c)", "ac"),
        ("letter notin (a,c)", "bde"),
        ("vowel", "ae"),
        ("!vowel", "bcd"),
        ("vowel=", "ae"),
        ("vowel,letter in (a,b)", "a"),
        ("", "abcde"),
    ],
)
async def test_label_selectors(client: Client, five: FakeCluster, selector: str, names: str) -> None:
    assert (await client.get(f"{ISVCS}?labelSelector={quote(selector)}")).names == list(names)


async def test_field_selectors_know_name_and_namespace(client: Client, five: FakeCluster) -> None:
    everywhere = f"{KSERVE}/inferenceservices?fieldSelector="
    assert (await client.get(everywhere + quote("metadata.name=b"))).names == ["b"]
    assert (await client.get(everywhere + quote("metadata.namespace=models,metadata.name!=b"))).names == list("acde")
    assert (await client.get(everywhere + quote("spec.x=1"))).status == 400
    assert (await client.get(f"{ISVCS}?labelSelector={quote('a b')}")).status == 400


async def test_pods_are_selected_by_their_phase_too(client: Client, cluster: FakeCluster) -> None:
    for name, phase in (("a", "Running"), ("b", "Failed")):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "models"}}
        cluster.apply({**pod, "status": {"phase": phase}})
    assert (await client.get(f"/api/v1/pods?fieldSelector={quote('status.phase=Running')}")).names == ["a"]


async def test_pages_are_consistent_while_objects_change(client: Client, five: FakeCluster) -> None:
    first = await client.get(f"{ISVCS}?limit=2")
    metadata = first.json["metadata"]
    assert first.names == ["a", "b"]
    assert metadata["remainingItemCount"] == 3
    five.delete("inferenceservices", "models", "c")
    five.apply(objects.isvc("cc"))
    five.apply(objects.isvc("d", model_format="vllm"))
    five.delete("inferenceservices", "models", "d")
    five.apply(objects.isvc("d"))
    second = await client.get(f"{ISVCS}?limit=2&continue={metadata['continue']}")
    assert second.names == ["c", "d"]
    assert second.version == first.version
    assert second.json["items"][1]["metadata"]["labels"] == {"letter": "d"}
    third = await client.get(f"{ISVCS}?limit=2&continue={second.json['metadata']['continue']}")
    assert third.names == ["e"]
    assert "continue" not in third.json["metadata"]
    assert (await client.get(ISVCS)).names == ["a", "b", "cc", "d", "e"]


async def test_an_expired_token_offers_an_inconsistent_rest(client: Client, five: FakeCluster) -> None:
    first = await client.get(f"{ISVCS}?limit=2")
    five.delete("inferenceservices", "models", "c")
    five.compact()
    answer = await client.get(f"{ISVCS}?limit=2&continue={first.json['metadata']['continue']}")
    assert answer.status == 410
    assert answer.json["reason"] == "Expired"
    rest = await client.get(f"{ISVCS}?limit=2&continue={answer.json['metadata']['continue']}")
    assert rest.names == ["d", "e"]


async def test_selected_pages_do_not_tell_how_much_remains(client: Client, five: FakeCluster) -> None:
    answer = await client.get(f"{ISVCS}?limit=1&labelSelector=vowel")
    assert "remainingItemCount" not in answer.json["metadata"]
    assert answer.json["metadata"]["continue"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("resourceVersion=0&limit=2", 200),
        ("resourceVersion=101", 200),
        ("resourceVersion=101&resourceVersionMatch=NotOlderThan", 200),
        ("resourceVersionMatch=Exact", 422),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422),
        ("resourceVersion=1&resourceVersionMatch=Newest", 422),
        ("resourceVersion=abc", 400),
        ("limit=-1", 400),
        ("continue=abc", 400),
        ("resourceVersion=999999", 504),
    ],
)
async def test_list_parameters(client: Client, five: FakeCluster, query: str, status: int) -> None:
    answer = await client.get(f"{ISVCS}?{query}")
    assert answer.status == status
    assert status != 200 or answer.names == list("abcde")


async def test_an_exact_version_lists_the_past(client: Client, five: FakeCluster) -> None:
    past = five.revision
    five.delete("inferenceservices", "models", "a")
    exact = f"{ISVCS}?resourceVersion={past}&resourceVersionMatch=Exact"
    assert (await client.get(exact)).names == list("abcde")
    assert (await client.get(f"{ISVCS}?resourceVersion={past}")).names == list("bcde")
    five.compact()
    assert (await client.get(exact)).status == 410


async def test_metadata_only(client: Client, five: FakeCluster) -> None:
    one = await client.get(f"{ISVCS}/a", Accept=f"{PARTIAL},application/json")
    assert set(one.json) == {"kind", "apiVersion", "metadata"}
    many = await client.get(ISVCS, Accept=PARTIAL_LIST)
    assert many.json["kind"] == "PartialObjectMetadataList"
    assert {item["kind"] for item in many.json["items"]} == {"PartialObjectMetadata"}


async def test_answers_are_json_or_not_acceptable(client: Client, five: FakeCluster) -> None:
    assert (await client.get(ISVCS, Accept="application/vnd.kubernetes.protobuf")).status == 406
    both = await client.get(ISVCS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert both.json["kind"] == "InferenceServiceList"


@pytest.mark.parametrize(
    "path",
    [
        "/apis/unknown.io/v1/things",
        "/apis/serving.kserve.io/v1alpha1/llminferenceservices",
        "/apis/serving.kserve.io/v9/inferenceservices",
        "/api/v1/namespaces/models/things",
        "/api/v1/namespaces/models/configmaps/a/scale",
        "/api/v1/configmaps/a",
        "/apis/unknown.io/v1",
        "/nothing",
    ],
)
async def test_unknown_paths_are_plain_text(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert answer.text == "404 page not found\n"


async def test_a_method_that_is_not_allowed(client: Client) -> None:
    answer = await client.ask("POST", f"{CORE}/configmaps", {"metadata": {"name": "a"}})
    assert answer.status == 405
    assert answer.json["reason"] == "MethodNotAllowed"


async def test_custom_types_come_and_go(client: Client, cluster: FakeCluster) -> None:
    definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/llminferenceservices.serving.kserve.io"
    path = "/apis/serving.kserve.io/v1alpha2/namespaces/models/llminferenceservices"
    assert (await client.get(definition)).status == 404
    cluster.install(LLM_INFERENCE_SERVICES)
    found = await client.get(definition)
    assert [version["name"] for version in found.json["spec"]["versions"]] == ["v1alpha1", "v1alpha2"]
    cluster.apply(objects.llm_isvc("chat"))
    answer = await client.get(f"{path}/chat")
    assert answer.json["apiVersion"] == "serving.kserve.io/v1alpha2"
    assert (await client.ask("DELETE", definition)).status == 200
    assert (await client.get(path)).text == "404 page not found\n"
    created = await client.ask("POST", definition.rpartition("/")[0], found.json | {"metadata": {"name": "x"}})
    assert created.status == 201
    assert (await client.get(path)).names == []


async def test_discovery(client: Client) -> None:
    assert (await client.get("/version")).json["major"] == "1"
    assert (await client.get("/api")).json["versions"] == ["v1"]
    groups = (await client.get("/apis")).json["groups"]
    assert [group["name"] for group in groups] == ["apiextensions.k8s.io", "route.openshift.io", "serving.kserve.io"]
    served = (await client.get(KSERVE)).json["resources"]
    assert [entry["name"] for entry in served] == ["inferenceservices", "inferenceservices/status"]
    assert (await client.get("/apis/serving.kserve.io")).json["preferredVersion"]["version"] == "v1beta1"
    assert "configmaps" in {entry["name"] for entry in (await client.get("/api/v1")).json["resources"]}
    assert (await client.get("/readyz")).text == "ok"
    assert "/apis/serving.kserve.io/v1beta1" in str((await client.get("/openapi/v3")).json)
