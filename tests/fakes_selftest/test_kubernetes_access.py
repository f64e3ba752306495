"""Tokens, RBAC and the record of what was used."""

from collections.abc import AsyncIterator

import pytest

from tests import objects
from tests.fakes.kubernetes import Access, FakeCluster, Rule, documented_rules, permitted
from tests.fakes_selftest.kubernetes_client import CONFIG_MAPS, ISVCS, KSERVE, Client, client_of

USER = "system:serviceaccount:rhdh:rhdh-rhoai-connector"


@pytest.fixture
async def connector(cluster: FakeCluster) -> AsyncIterator[Client]:
    cluster.grant("connector", USER, documented_rules("rhdh"))
    async with client_of(cluster, "connector") as client:
        yield client


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic connector", "connector"])
async def test_without_a_known_token_nothing_is_answered(client: Client, cluster: FakeCluster, header: str) -> None:
    answer = await client.get(ISVCS, Authorization=header)
    assert answer.status == 401
    assert answer.json["reason"] == "Unauthorized"
    assert (await client.get("/version", Authorization=header)).status == 401


async def test_a_revoked_token_is_unauthorized(connector: Client, cluster: FakeCluster) -> None:
    assert (await connector.get(ISVCS)).status == 200
    cluster.revoke("connector")
    assert (await connector.get(ISVCS)).status == 401


async def test_the_documented_rules_permit_what_the_set_up_grants(connector: Client) -> None:
    assert (await connector.ask("POST", CONFIG_MAPS, objects.configmap("cache"))).status == 201
    assert (await connector.patch(f"{CONFIG_MAPS}/cache", {"data": {"a": "b"}})).status == 200
    for path in (
        f"{KSERVE}/inferenceservices",
        "/api/v1/services",
        "/api/v1/serviceaccounts",
        "/apis/route.openshift.io/v1/routes",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferenceservices.serving.kserve.io",
        "/version",
    ):
        assert (await connector.get(path)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "DELETE",
            f"{CONFIG_MAPS}/cache",
            f'configmaps "cache" is forbidden: User "{USER}" cannot delete resource "configmaps" in API group ""'
            ' in the namespace "rhdh"',
        ),
        (
            "GET",
            "/api/v1/configmaps",
            f'configmaps is forbidden: User "{USER}" cannot list resource "configmaps" in API group ""'
            " at the cluster scope",
        ),
        (
            "PATCH",
            f"{ISVCS}/plain/status",
            f'inferenceservices.serving.kserve.io "plain" is forbidden: User "{USER}" cannot patch resource'
            ' "inferenceservices/status" in API group "serving.kserve.io" in the namespace "models"',
        ),
        (
            "GET",
            "/apis/serving.kserve.io/v1alpha1/llminferenceservices?watch=1",
            f'llminferenceservices.serving.kserve.io is forbidden: User "{USER}" cannot watch resource'
            ' "llminferenceservices" in API group "serving.kserve.io" at the cluster scope',
        ),
    ],
)
async def test_everything_else_is_forbidden(connector: Client, method: str, path: str, message: str) -> None:
    answer = await connector.ask(method, path)
    assert answer.status == 403
    assert answer.json["reason"] == "Forbidden"
    assert answer.json["message"] == message


async def test_what_was_used_is_recorded(connector: Client, cluster: FakeCluster) -> None:
    await connector.get(f"{KSERVE}/inferenceservices")
    await connector.patch(f"{ISVCS}/plain/status", {})
    listed = Access(USER, "list", "serving.kserve.io", "inferenceservices")
    patched = Access(USER, "patch", "serving.kserve.io", "inferenceservices", "status", "models")
    assert cluster.used == {listed, patched}
    assert cluster.denied == {patched}
    assert permitted(documented_rules("rhdh"), listed)
    assert not permitted(documented_rules("rhdh"), patched)


def test_wildcards_cover_everything() -> None:
    rule = Rule(api_groups=("*",), resources=("*",), verbs=("*",), namespace="a")
    assert rule.permits(Access("u", "delete", "x.io", "things", "status", "a"))
    assert not rule.permits(Access("u", "get", "", "configmaps", "", "b"))


REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.mark.parametrize(
    ("allowed", "wanted"),
    [
        (True, {"verb": "list", "group": "serving.kserve.io", "resource": "inferenceservices"}),
        (True, {"verb": "list", "group": "serving.kserve.io", "resource": "inferenceservices", "namespace": "models"}),
        (True, {"verb": "patch", "resource": "configmaps", "namespace": "rhdh"}),
        (False, {"verb": "patch", "resource": "configmaps"}),
        (False, {"verb": "delete", "resource": "configmaps", "namespace": "rhdh"}),
        (False, {"verb": "get", "resource": "secrets", "namespace": "rhdh"}),
    ],
)
async def test_everybody_may_ask_what_they_may(
    connector: Client, cluster: FakeCluster, allowed: bool, wanted: dict[str, str]
) -> None:
    review = {"apiVersion": "authorization.k8s.io/v1", "spec": {"resourceAttributes": wanted}}
    answer = await connector.ask("POST", REVIEWS, review)

    assert answer.status == 201
    assert answer.json["status"]["allowed"] is allowed
    assert not cluster.used, "asking is no use of a right"
    assert (await connector.ask("POST", REVIEWS, {"spec": {}})).status == 400


async def test_everybody_may_ask_who_they_are(connector: Client) -> None:
    answer = await connector.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})

    assert answer.json["status"]["userInfo"]["username"] == USER
    assert (await connector.ask("POST", REVIEWS, {}, Authorization="Bearer wrong")).status == 401
