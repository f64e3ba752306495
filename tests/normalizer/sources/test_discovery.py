"""Which registries and catalogs are found, under which id and address."""

from typing import Any

import pytest

from services.normalizer.sources.kubeflow.addresses import read_route, read_service_address
from services.normalizer.sources.kubeflow.discovery import Discovery, DiscoverySettings, discover

MANAGED = {"app.kubernetes.io/managed-by": "model-registry-operator"}
REGISTRY = {"component": "model-registry"}
CATALOG = {"app.kubernetes.io/part-of": "model-catalog", "component": "server"}
HTTPS = {"name": "https-api", "port": 8443}
HTTP = {"name": "http-api", "port": 8080}


def route(
    name: str,
    *,
    namespace: str = "registries",
    host: str = "",
    to: str = "",
    labels: dict[str, str] = MANAGED,
    admitted: str = "True",
) -> dict[str, Any]:
    condition = {"type": "Admitted", "status": admitted}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"to": {"kind": "Service", "name": to}} if to else {},
        "status": {"ingress": [{"host": host, "conditions": [condition]}]} if host else {},
    }


def service(name: str, *ports: dict[str, Any], namespace: str = "registries", labels: dict[str, str] = REGISTRY) -> Any:
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels}, "spec": {"ports": list(ports)}}


def found(routes: list[Any] = [], services: list[Any] = [], /, **settings: Any) -> Discovery:  # noqa: B006 - only read
    return discover(
        [read_route(each) for each in routes],
        [read_service_address(each) for each in services],
        DiscoverySettings(**settings),
    )


def summary(discovery: Discovery) -> list[tuple[str, str, str]]:
    return [(ref.kind, ref.id, ref.url) for ref in discovery.refs]


def test_nothing_is_found_where_nothing_is():
    assert found() == Discovery(refs=())


def test_routes_of_the_operator():
    discovery = found(
        [
            route("public-https", host="public.apps.example.com", to="public"),
            route("model-catalog-https", host="catalog.apps.example.com", to="model-catalog"),
            route("console", host="console.example.com", to="console", labels={}),
        ]
    )

    assert summary(discovery) == [
        ("catalog", "registries/model-catalog", "https://catalog.apps.example.com"),
        ("registry", "registries/public", "https://public.apps.example.com"),
    ]
    [_, ref] = discovery.refs
    assert (ref.name, ref.namespace, ref.origin) == ("public", "registries", "Route registries/public-https")
    assert (ref.label, ref.registry.id, ref.registry.name) == ("model registry registries/public", ref.id, "public")


@pytest.mark.parametrize(
    ("ports", "url"),
    [
        ([HTTP], "http://model-registry-service.kubeflow.svc:8080"),
        ([{"name": "grpc-api", "port": 9090}, HTTPS], "https://model-registry-service.kubeflow.svc:8443"),
        ([HTTP, HTTPS], "https://model-registry-service.kubeflow.svc:8443"),
        ([{"name": "api", "port": 9000, "appProtocol": "HTTPS"}], "https://model-registry-service.kubeflow.svc:9000"),
        ([{"name": "api", "port": 9000, "appProtocol": "http"}], "http://model-registry-service.kubeflow.svc:9000"),
        ([{"port": 8080}], "http://model-registry-service.kubeflow.svc:8080"),
        ([{"name": "mysql", "port": 3306}], None),
        ([], None),
    ],
)
def test_services_on_plain_kubernetes(ports: list[Any], url: str | None):
    discovery = found([], [service("model-registry-service", *ports, namespace="kubeflow")])

    expected = [("registry", "kubeflow/model-registry-service", url)] if url else []
    assert summary(discovery) == expected


def test_the_catalogs_service_needs_no_registry():
    discovery = found([], [service("model-catalog", HTTPS, labels=CATALOG), service("other", HTTP, labels={})])

    assert summary(discovery) == [("catalog", "registries/model-catalog", "https://model-catalog.registries.svc:8443")]


def test_one_registry_reached_by_route_and_service_is_one():
    discovery = found([route("public-https", host="public.example.com", to="public")], [service("public", HTTPS)])

    assert summary(discovery) == [("registry", "registries/public", "https://public.example.com")]


def test_two_routes_to_one_registry_are_one():
    routes = [route("b", host="b.example.com", to="public"), route("a", host="a.example.com", to="public")]

    assert summary(found(routes)) == [("registry", "registries/public", "https://a.example.com")]
    assert summary(found(list(reversed(routes)))) == summary(found(routes))


def test_routes_through_one_gateway_are_different_registries():
    discovery = found(
        [
            route("one-rest", host="one.example.com", to="istio-ingressgateway"),
            route("two-rest", host="two.example.com", to="istio-ingressgateway"),
        ]
    )

    assert summary(discovery) == [
        ("registry", "registries/one-rest", "https://one.example.com"),
        ("registry", "registries/two-rest", "https://two.example.com"),
    ]


@pytest.mark.parametrize("admitted", ["True", "False"])
def test_a_route_without_ingress_has_no_address_yet(admitted: str):
    host = "refused.example.com" if admitted == "False" else ""
    pending = [route("public-https", host=host, to="public", admitted=admitted)]

    assert summary(found(pending)) == [("registry", "registries/public", "")]
    assert summary(found(pending, [service("public", HTTPS)])) == [
        ("registry", "registries/public", "https://public.registries.svc:8443")
    ]


def test_of_two_routes_the_admitted_one_serves():
    routes = [route("a", to="public"), route("b", host="b.example.com", to="public")]

    assert summary(found(routes)) == [("registry", "registries/public", "https://b.example.com")]


def test_mr_route_limits_registries_and_leaves_the_catalog():
    routes = [
        route("public", host="public.example.com", to="public"),
        route("private", host="private.example.com", to="private"),
        route("own", namespace="team", host="own.example.com", to="own", labels={}),
        route("own", namespace="others", host="others.example.com", to="own", labels={}),
        route("model-catalog", host="catalog.example.com", to="model-catalog"),
    ]
    services = [service("private", HTTPS), service("third", HTTPS)]

    assert [ref.id for ref in found(routes, services, routes=("public", "team:own")).refs] == [
        "registries/model-catalog",
        "registries/public",
        "team/own",
    ]
    assert [ref.id for ref in found(routes, routes=("own",)).refs] == [
        "others/own",
        "registries/model-catalog",
        "team/own",
    ]


def test_mr_route_that_names_nothing_is_a_problem():
    [problem] = found([route("public", host="x", to="public")], routes=("team:public", "public")).problems

    assert (problem.object, problem.message) == ("MR_ROUTE team:public", "no such Route")
    assert "namespace:name" in problem.remedy


def test_explicit_urls():
    discovery = found(
        registry_urls=("https://Registry.example.com:8443/", "http://127.0.0.1:8080/base", "http://[::1]:8080"),
        catalog_urls=("http://127.0.0.1:8081",),
    )

    assert summary(discovery) == [
        ("registry", "registry.example.com:8443", "https://registry.example.com:8443"),
        ("registry", "127.0.0.1:8080/base", "http://127.0.0.1:8080/base"),
        ("registry", "[::1]:8080", "http://[::1]:8080"),
        ("catalog", "127.0.0.1:8081", "http://127.0.0.1:8081"),
    ]


def test_an_explicit_url_is_the_registry_that_a_route_or_service_reaches():
    routes = [route("public-https", host="public.example.com", to="public")]
    services = [service("public", HTTPS), service("second", HTTP)]

    discovery = found(
        routes,
        services,
        registry_urls=("https://public.example.com", "http://second.registries.svc.cluster.local:8080"),
    )

    assert summary(discovery) == [
        ("registry", "public.example.com", "https://public.example.com"),
        (
            "registry",
            "second.registries.svc.cluster.local:8080",
            "http://second.registries.svc.cluster.local:8080",
        ),
    ]
    assert discovery.refs[1].name == "second"


@pytest.mark.parametrize("word", ["registries/public", "public", "public.example.com"])
def test_verification_is_off_for_the_registry_that_is_named(word: str):
    routes = [
        route("public-https", host="public.example.com", to="public"),
        route("private-https", host="private.example.com", to="private"),
    ]

    assert {ref.id: ref.verify for ref in found(routes, insecure=(word,)).refs} == {
        "registries/public": False,
        "registries/private": True,
    }


def test_odd_objects_are_survived():
    odd: list[Any] = [
        {},
        {"metadata": None, "status": {"ingress": "none"}, "spec": []},
        {"metadata": {"name": "x", "namespace": "y", "labels": {"a": 1, **MANAGED}}, "status": {"ingress": [None, {}]}},
    ]
    services: list[Any] = [
        {},
        {"metadata": {"name": "x", "namespace": "z", "labels": REGISTRY}, "spec": {"ports": [None, {"port": "http"}]}},
    ]

    assert summary(found(odd, services)) == [("registry", "y/x", "")]


def test_the_token_goes_to_trusted_namespaces_and_to_what_is_named_only() -> None:
    routes = [
        route("own", namespace="team", host="own.example.com"),
        route("other", namespace="team", host="o.example.com"),
    ]
    services = [
        service("registry", HTTP, namespace="kubeflow"),
        service("trap", HTTPS, namespace="tenant"),
    ]
    trusted = {ref.id: ref.trusted for ref in found(routes, services, trusted_namespaces=("kubeflow",)).refs}
    assert trusted == {"kubeflow/registry": True, "tenant/trap": False, "team/own": False, "team/other": False}
    named = {
        ref.id: ref.trusted
        for ref in found(routes, [], routes=("team:own",), registry_urls=("https://r.example.com",)).refs
    }
    assert named == {"r.example.com": True, "team/own": True}
