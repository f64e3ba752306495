"""create, update, patch, delete of the fake API server, held against the Kubernetes API's documented behaviour."""

import base64
from typing import Any

import pytest

from tests import objects
from tests.fakes.kubernetes import FakeCluster
from tests.fakes_selftest.kubernetes_client import CONFIG_MAPS, ISVCS, JSON_PATCH, PARTIAL, STRATEGIC, Client

MAP = f"{CONFIG_MAPS}/cache"


def config_map(**data: str) -> dict[str, Any]:
    return objects.configmap("cache", data=data)


async def test_create_stamps_what_the_server_owns(client: Client) -> None:
    answer = await client.ask("POST", ISVCS, objects.isvc("plain"))
    metadata = answer.json["metadata"]
    assert answer.status == 201
    assert metadata["generation"] == 1
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"].endswith("Z")
    assert "status" not in answer.json, "a status subresource is written apart"


async def test_create_of_a_taken_name_is_already_exists(client: Client) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map())
    answer = await client.ask("POST", CONFIG_MAPS, config_map())
    assert answer.status == 409
    assert answer.json["reason"] == "AlreadyExists"
    assert answer.json["message"] == 'configmaps "cache" already exists'
    assert answer.json["details"] == {"name": "cache", "kind": "configmaps"}


async def test_generate_name_makes_different_names(client: Client) -> None:
    body = {"metadata": {"generateName": "cache-"}}
    names = {(await client.ask("POST", CONFIG_MAPS, body)).json["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("cache-") and len(name) == 11 for name in names)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"metadata": {}}, 422, "name or generateName is required"),
        ({"metadata": {"name": "Upper"}}, 422, "RFC 1123"),
        ({"metadata": {"name": "a", "labels": {"k": "no spaces"}}}, 422, "a valid label"),
        ({"metadata": {"name": "a", "annotations": {"k": "x" * 262_144}}}, 422, "may not be more than 262144 bytes"),
        ({"metadata": {"name": "a", "namespace": "other"}}, 400, "does not match the namespace"),
        ({"kind": "Secret", "metadata": {"name": "a"}}, 400, "does not match the expected kind"),
        ({"metadata": {"name": "a", "resourceVersion": "1"}}, 500, "resourceVersion should not be set"),
        ({"metadata": {"name": 1}}, 400, "ObjectMeta.metadata.name"),
        ({"metadata": {"name": "a", "labels": {"k": 1}}}, 400, "ObjectMeta.metadata.labels"),
        ({"metadata": ["a"]}, 400, "field .metadata"),
        ({"metadata": {"name": "a"}, "data": ["a"]}, 400, "ConfigMap.data"),
        ({"metadata": {"name": "a"}, "binaryData": {"a": 1}}, 400, "ConfigMap.binaryData"),
        (b"{", 400, "decoding"),
        (b"[]", 400, "no object"),
    ],
)
async def test_what_cannot_be_created(client: Client, body: Any, status: int, message: str) -> None:
    answer = await client.ask("POST", CONFIG_MAPS, body)
    assert answer.status == status
    assert message in answer.json["message"]


async def test_custom_resources_need_their_kind_in_the_body(client: Client) -> None:
    answer = await client.ask("POST", ISVCS, {"metadata": {"name": "a"}})
    assert answer.status == 400
    assert "'Kind' is missing" in answer.json["message"]


async def test_create_needs_the_namespace(client: Client) -> None:
    answer = await client.ask("POST", "/api/v1/namespaces/absent/configmaps", {"metadata": {"name": "a"}})
    assert answer.status == 404
    assert answer.json["message"] == 'namespaces "absent" not found'


async def test_update_with_a_stale_version_is_a_conflict(client: Client) -> None:
    first = (await client.ask("POST", CONFIG_MAPS, config_map(a="1"))).json
    second = await client.ask("PUT", MAP, {**first, "data": {"a": "2"}})
    assert second.status == 200
    assert int(second.version) > int(first["metadata"]["resourceVersion"])
    third = await client.ask("PUT", MAP, {**first, "data": {"a": "3"}})
    assert third.status == 409
    assert third.json["reason"] == "Conflict"
    assert third.json["message"].startswith('Operation cannot be fulfilled on configmaps "cache": the object has been')


async def test_update_without_a_version_is_for_built_in_types_only(client: Client, cluster: FakeCluster) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map())
    assert (await client.ask("PUT", MAP, config_map(a="1"))).status == 200
    cluster.apply(objects.isvc("plain"))
    answer = await client.ask("PUT", f"{ISVCS}/plain", objects.isvc("plain", model_format="vllm"))
    assert answer.status == 422
    assert "must be specified for an update" in answer.json["message"]


async def test_update_and_patch_of_what_is_not_there(client: Client) -> None:
    assert (await client.ask("PUT", MAP, config_map())).status == 404
    answer = await client.patch(MAP, {"data": {}})
    assert answer.status == 404
    assert answer.json["details"] == {"name": "cache", "kind": "configmaps"}


async def test_merge_patch_merges_replaces_and_removes(client: Client) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map(keep="1", change="1", drop="1"))
    answer = await client.patch(MAP, {"data": {"change": "2", "drop": None, "add": "3"}})
    assert answer.json["data"] == {"keep": "1", "change": "2", "add": "3"}
    answer = await client.patch(MAP, {"data": None})
    assert "data" not in answer.json


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", STRATEGIC])
async def test_a_patch_without_a_change_leaves_the_version_alone(client: Client, content_type: str) -> None:
    created = await client.ask("POST", CONFIG_MAPS, config_map(a="1"))
    answer = await client.patch(MAP, {"data": {"a": "1", "b": None}}, content_type)
    assert answer.status == 200
    assert answer.version == created.version


async def test_a_patch_may_insist_on_a_version(client: Client) -> None:
    created = await client.ask("POST", CONFIG_MAPS, config_map(a="1"))
    patch = {"metadata": {"resourceVersion": created.version}, "data": {"a": "2"}}
    assert (await client.patch(MAP, patch)).status == 200
    assert (await client.patch(MAP, patch)).status == 409


async def test_json_patch(client: Client) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map(a="1", b="2"))
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "9"},
        {"op": "move", "from": "/data/b", "path": "/data/c"},
        {"op": "copy", "from": "/data/c", "path": "/data/d"},
        {"op": "add", "path": "/metadata/labels", "value": {"x~/y": "z"}},
        {"op": "remove", "path": "/metadata/labels/x~0~1y"},
    ]
    answer = await client.patch(MAP, operations, JSON_PATCH)
    assert answer.json["data"] == {"a": "9", "c": "2", "d": "2"}
    for impossible in ({"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/zz"}):
        assert (await client.patch(MAP, [impossible], JSON_PATCH)).status == 422
    assert (await client.patch(MAP, {"a": 1}, JSON_PATCH)).status == 400


async def test_strategic_merge_patch_is_for_built_in_types(client: Client, cluster: FakeCluster) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map(a="1", b="2"))
    answer = await client.patch(MAP, {"data": {"$patch": "replace", "c": "3"}}, STRATEGIC)
    assert answer.json["data"] == {"c": "3"}
    cluster.apply(objects.isvc("plain"))
    answer = await client.patch(f"{ISVCS}/plain", {"metadata": {"labels": {"a": "b"}}}, STRATEGIC)
    assert answer.status == 415
    assert answer.json["reason"] == "UnsupportedMediaType"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/apply-patch+yaml"])
async def test_other_patch_types_are_unsupported(client: Client, content_type: str) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map())
    assert (await client.patch(MAP, {}, content_type)).status == 415


async def test_generation_counts_changes_of_the_specification(client: Client, cluster: FakeCluster) -> None:
    cluster.apply(objects.isvc("plain"))
    path = f"{ISVCS}/plain"
    labelled = await client.patch(path, {"metadata": {"labels": {"a": "b"}}})
    assert labelled.json["metadata"]["generation"] == 1
    changed = await client.patch(path, {"spec": {"predictor": {"minReplicas": 2}}, "status": {"url": "http://x"}})
    assert changed.json["metadata"]["generation"] == 2
    assert changed.json["status"]["url"] != "http://x", "status is written through its subresource"


async def test_status_subresource_writes_status_alone(client: Client, cluster: FakeCluster) -> None:
    stored = cluster.apply(objects.isvc("plain", labels={"a": "b"}))
    path = f"{ISVCS}/plain/status"
    patched = await client.patch(path, {"status": {"url": "http://x"}, "spec": None, "metadata": {"labels": None}})
    assert patched.json["status"]["url"] == "http://x"
    assert patched.json["spec"] == stored["spec"]
    assert patched.json["metadata"]["labels"] == {"a": "b"}
    assert patched.json["metadata"]["generation"] == 1
    put = await client.ask("PUT", path, {**patched.json, "status": {}})
    assert put.json["status"] == {}
    assert (await client.get(path)).json == put.json
    assert (await client.get(f"{CONFIG_MAPS}/cache/status")).text == "404 page not found\n"


async def test_server_owned_metadata_cannot_be_changed(client: Client) -> None:
    created = (await client.ask("POST", CONFIG_MAPS, config_map())).json
    await client.patch(MAP, {"metadata": {"creationTimestamp": None, "labels": {"a": "b"}}})
    stored = (await client.get(MAP)).json["metadata"]
    assert stored["creationTimestamp"] == created["metadata"]["creationTimestamp"]
    assert (await client.patch(MAP, {"metadata": {"uid": "other"}})).status == 409
    assert (await client.patch(MAP, {"metadata": {"name": "other"}})).status == 400
    assert (await client.patch(MAP, {"metadata": None})).status == 422


async def test_a_dry_run_answers_as_if_and_changes_nothing(client: Client, cluster: FakeCluster) -> None:
    assert (await client.ask("POST", f"{CONFIG_MAPS}?dryRun=All", config_map())).status == 201
    assert (await client.get(MAP)).status == 404
    created = (await client.ask("POST", CONFIG_MAPS, config_map())).json
    revision = cluster.revision
    patched = await client.patch(f"{MAP}?dryRun=All", {"data": {"a": "b"}})
    assert patched.status == 200
    assert patched.json["data"]["a"] == "b"
    assert (await client.get(MAP)).json == created
    assert cluster.revision == revision
    assert (await client.patch(f"{MAP}?dryRun=All", {"data": {"not a key": "b"}})).status == 422
    assert (await client.patch(f"{MAP}?dryRun=Some", {"data": {"a": "b"}})).status == 400
    assert (await client.ask("DELETE", f"{MAP}?dryRun=All")).status == 400


async def test_delete_answers_success_and_checks_preconditions(client: Client) -> None:
    created = (await client.ask("POST", CONFIG_MAPS, config_map())).json
    refused = await client.ask("DELETE", MAP, {"preconditions": {"uid": "other"}})
    assert refused.status == 409
    answer = await client.ask("DELETE", MAP)
    assert answer.json["status"] == "Success"
    assert answer.json["details"] == {"name": "cache", "kind": "configmaps", "uid": created["metadata"]["uid"]}
    assert (await client.ask("DELETE", MAP)).status == 404


async def test_finalizers_hold_an_object_until_they_are_gone(client: Client, cluster: FakeCluster) -> None:
    obj = objects.isvc("plain")
    obj["metadata"]["finalizers"] = ["inferenceservice.finalizers"]
    cluster.apply(obj)
    path = f"{ISVCS}/plain"
    marked = await client.ask("DELETE", path)
    assert "deletionTimestamp" in marked.json["metadata"]
    assert (await client.get(path)).status == 200
    await client.patch(path, {"metadata": {"finalizers": None}})
    assert (await client.get(path)).status == 404


async def test_delete_collection_removes_what_is_selected(client: Client, cluster: FakeCluster) -> None:
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        cluster.apply(objects.configmap(name, labels={"colour": colour}))
    answer = await client.ask("DELETE", f"{CONFIG_MAPS}?labelSelector=colour%3Dred")
    assert answer.names == ["a", "c"]
    assert (await client.get(CONFIG_MAPS)).names == ["b"]


async def test_a_namespace_takes_its_content_along(client: Client, cluster: FakeCluster) -> None:
    cluster.apply(objects.isvc("plain"))
    assert (await client.ask("DELETE", "/api/v1/namespaces/models")).status == 200
    assert (await client.get(f"{ISVCS}/plain")).status == 404


@pytest.mark.parametrize("key", ["a b", "ä", "a/b", "x" * 254, "..a", "."])
async def test_config_map_keys_are_checked(client: Client, key: str) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map())
    for answer in (
        await client.patch(MAP, {"data": {key: "1"}}),
        await client.patch(MAP, {"binaryData": {key: "MQ=="}}),
    ):
        assert answer.status == 422
        assert answer.json["reason"] == "Invalid"
        assert answer.json["details"]["causes"][0]["reason"] == "FieldValueInvalid"


async def test_a_config_map_holds_a_mebibyte_and_no_byte_more(client: Client) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map(a="x" * 48_576))
    full = base64.b64encode(b"x" * 1_000_000).decode()
    assert (await client.patch(MAP, {"binaryData": {"b": full}})).status == 200
    answer = await client.patch(MAP, {"data": {"c": "x"}})
    assert answer.status == 422
    assert answer.json["message"] == 'ConfigMap "cache" is invalid: []: Too long: may not be more than 1048576 bytes'
    assert answer.json["details"]["causes"][0]["reason"] == "FieldValueTooLong"


async def test_undecodable_values_are_refused(client: Client) -> None:
    wrong = {"metadata": {"name": "cache"}, "binaryData": {"a": "no base64!"}}
    answer = await client.ask("POST", CONFIG_MAPS, wrong)
    assert answer.status == 400
    assert "illegal base64" in answer.json["message"]
    await client.ask("POST", CONFIG_MAPS, config_map())
    assert (await client.patch(MAP, {"binaryData": {"a": "no base64!"}})).status == 422
    assert (await client.ask("PUT", MAP, {"metadata": {"name": "cache"}, "data": {"a": 1}})).status == 400


async def test_a_request_body_over_the_limit_is_too_large(client: Client) -> None:
    answer = await client.ask("POST", CONFIG_MAPS, b" " * 3_145_729)
    assert answer.status == 413
    assert answer.json["reason"] == "RequestEntityTooLarge"
    assert (await client.ask("POST", CONFIG_MAPS, b" " * 3_145_728)).status == 400


async def test_a_write_can_answer_with_metadata_only(client: Client) -> None:
    await client.ask("POST", CONFIG_MAPS, config_map())
    answer = await client.patch(MAP, {"data": {"a": "x" * 1000}}, Accept=PARTIAL)
    assert answer.json["kind"] == "PartialObjectMetadata"
    assert answer.json["apiVersion"] == "meta.k8s.io/v1"
    assert set(answer.json) == {"kind", "apiVersion", "metadata"}
