"""Which registries and catalogs are found, under which id and address."""

from typing import Any

import pytest

from services.normalizer.sources.kubeflow.addresses import read_http_route, read_route, read_service_address
from services.normalizer.sources.kubeflow.discovery import Discovery, DiscoverySettings, discover

MANAGED = {"app.kubernetes.io/managed-by": "model-registry-operator"}
REGISTRY = {"component": "model-registry"}
CATALOG = {"component": "model-catalog", "app.kubernetes.io/part-of": "model-registry"}
"""Labels of the operator's Service."""
UPSTREAM_CATALOG = {"app.kubernetes.io/part-of": "model-catalog", "app.kubernetes.io/component": "server"}
EXTERNAL = "routing.opendatahub.io/external-address-rest"
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
    tls: bool = True,
) -> dict[str, Any]:
    condition = {"type": "Admitted", "status": admitted}
    target = {"to": {"kind": "Service", "name": to}} if to else {}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {**target, **({"tls": {"termination": "reencrypt"}} if tls else {})},
        "status": {"ingress": [{"host": host, "conditions": [condition]}]} if host else {},
    }


def service(
    name: str,
    *ports: dict[str, Any],
    namespace: str = "registries",
    labels: dict[str, str] = REGISTRY,
    external: str | None = None,
) -> Any:
    annotations = {EXTERNAL: external} if external is not None else {}
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": labels, "annotations": annotations},
        "spec": {"ports": list(ports)},
    }


def http_route(*hosts: str, namespace: str = "registries", to: str = "public") -> Any:
    """An HTTPRoute as the operator of RHOAI 3 makes it, which writes no host names."""
    return {
        "kind": "HTTPRoute",
        "metadata": {"namespace": namespace, "name": f"model-registry-{to}", "labels": {**MANAGED, **REGISTRY}},
        "spec": {
            **({"hostnames": list(hosts)} if hosts else {}),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": f"/model-registry/{to}/"}}],
                    "backendRefs": [{"kind": "Service", "name": to, "namespace": "registries", "port": 8443}],
                }
            ],
        },
    }


TRUSTED = ("registries", "kubeflow", "y", "z")


def found(routes: list[Any] = [], services: list[Any] = [], /, **settings: Any) -> Discovery:  # noqa: B006 - only read
    return discover(
        [read_http_route(each) if each.get("kind") == "HTTPRoute" else read_route(each) for each in routes],
        [read_service_address(each) for each in services],
        DiscoverySettings(**{"trusted_namespaces": TRUSTED, **settings}),
    )


def summary(discovery: Discovery) -> list[tuple[str, str, str]]:
    return [(ref.kind, ref.id, ref.url) for ref in discovery.refs]


def test_nothing_is_found_where_nothing_is() -> None:
    assert found() == Discovery(refs=())


def test_routes_of_the_operator() -> None:
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
def test_services_on_plain_kubernetes(ports: list[Any], url: str | None) -> None:
    discovery = found([], [service("model-registry-service", *ports, namespace="kubeflow")])

    expected = [("registry", "kubeflow/model-registry-service", url)] if url else []
    assert summary(discovery) == expected


def test_the_catalogs_service_needs_no_registry() -> None:
    discovery = found([], [service("model-catalog", HTTPS, labels=CATALOG), service("other", HTTP, labels={})])

    assert summary(discovery) == [("catalog", "registries/model-catalog", "https://model-catalog.registries.svc:8443")]


def test_one_registry_reached_by_route_and_service_is_one() -> None:
    discovery = found([route("public-https", host="public.example.com", to="public")], [service("public", HTTPS)])

    assert summary(discovery) == [("registry", "registries/public", "https://public.example.com")]


def test_two_routes_to_one_registry_are_one() -> None:
    routes = [route("b", host="b.example.com", to="public"), route("a", host="a.example.com", to="public")]

    assert summary(found(routes)) == [("registry", "registries/public", "https://a.example.com")]
    assert summary(found(list(reversed(routes)))) == summary(found(routes))


def test_routes_through_one_gateway_are_different_registries() -> None:
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
def test_a_route_without_ingress_has_no_address_yet(admitted: str) -> None:
    host = "refused.example.com" if admitted == "False" else ""
    pending = [route("public-https", host=host, to="public", admitted=admitted)]

    assert summary(found(pending)) == [("registry", "registries/public", "")]
    assert summary(found(pending, [service("public", HTTPS)])) == [
        ("registry", "registries/public", "https://public.registries.svc:8443")
    ]


def test_of_two_routes_the_admitted_one_serves() -> None:
    routes = [route("a", to="public"), route("b", host="b.example.com", to="public")]

    assert summary(found(routes)) == [("registry", "registries/public", "https://b.example.com")]


def test_mr_route_limits_registries_and_leaves_the_catalog() -> None:
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
    by_name = found(routes, routes=("own",), trusted_namespaces=("registries", "team"))
    assert [ref.id for ref in by_name.refs] == ["registries/model-catalog", "team/own"]


def test_mr_route_that_names_nothing_is_a_problem() -> None:
    discovery = found([route("public", host="x", to="public")], routes=("team:public", "public", "other"))
    [pair, alone] = discovery.problems

    assert tuple(discovery.unmatched.values()) == (pair, alone)
    assert (pair.object, pair.message) == ("MR_ROUTE team:public", "there is no such Route")
    assert "namespace:name" in pair.remedy
    assert alone.message == "there is no such Route in a trusted namespace (MODEL_REGISTRY_NAMESPACES)"


def test_explicit_urls() -> None:
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


def test_an_explicit_url_is_the_registry_that_a_route_or_service_reaches() -> None:
    routes = [route("public-https", host="public.example.com", to="public")]
    services = [service("public", HTTPS), service("second", HTTP)]

    discovery = found(
        routes,
        services,
        registry_urls=("https://public.example.com", "http://second.registries.svc.cluster.local:8080"),
    )

    assert summary(discovery) == [
        ("registry", "public.example.com", "https://public.example.com"),
        ("registry", "registries/second", "http://second.registries.svc.cluster.local:8080"),
    ]
    assert discovery.refs[1].name == "second"


@pytest.mark.parametrize(
    "url",
    [
        "https://Registry.Example.com",
        "https://registry.example.com:443/",
        "HTTPS://registry.example.com./",
    ],
)
def test_however_a_url_is_written_its_registry_is_the_same(url: str) -> None:
    [ref] = found(registry_urls=(url,)).refs

    assert (ref.id, ref.url) == ("registry.example.com", "https://registry.example.com")


def test_a_url_may_have_a_name() -> None:
    urls = ("public=https://r.example.com", "team/own=https://o.example.com/api?x=1")
    discovery = found(registry_urls=urls)

    assert [(ref.id, ref.name, ref.namespace) for ref in discovery.refs] == [
        ("public", "public", ""),
        ("team/own", "own", "team"),
    ]
    [problem] = found(registry_urls=("a=https://r.example.com", "a=https://s.example.com")).problems
    assert problem.message == "a is there 2 times: the first is taken"


@pytest.mark.parametrize("word", ["registries/public", "public", "public.example.com"])
def test_verification_is_off_for_the_registry_that_is_named(word: str) -> None:
    routes = [
        route("public-https", host="public.example.com", to="public"),
        route("private-https", host="private.example.com", to="private"),
    ]

    assert {ref.id: ref.verify for ref in found(routes, insecure=(word,)).refs} == {
        "registries/public": False,
        "registries/private": True,
    }


def test_odd_objects_are_survived() -> None:
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


def test_only_what_is_in_trusted_namespaces_or_named_with_its_namespace_is_read() -> None:
    routes = [
        route("own", namespace="team", host="own.example.com"),
        route("other", namespace="team", host="o.example.com"),
    ]
    services = [service("registry", HTTP, namespace="kubeflow"), service("trap", HTTPS, namespace="tenant")]

    discovery = found(routes, services)
    assert [ref.id for ref in discovery.refs] == ["kubeflow/registry"]
    assert [ref.id for ref in discovery.untrusted] == ["team/other", "team/own", "tenant/trap"]
    assert all("MODEL_REGISTRY_NAMESPACES" in problem.remedy for problem in discovery.problems)
    assert "add tenant to" in discovery.problems[-1].remedy

    named = found(routes, [], routes=("team:own",), registry_urls=("https://r.example.com",))
    assert [ref.id for ref in named.refs] == ["r.example.com", "team/own"]
    alone = found(routes, [], routes=("own",))
    assert alone.refs == ()
    assert [problem.object for problem in alone.unmatched.values()] == ["MR_ROUTE own"]


def test_an_untrusted_registry_does_not_take_the_place_of_a_trusted_server() -> None:
    mine = service("public", HTTPS, external="public.example.com:443")
    theirs = [
        service("public", HTTPS, namespace="tenant", external="public.example.com:443"),
        service("model-catalog", HTTPS, namespace="tenant", labels=CATALOG),
    ]
    route_to_mine = http_route("tenant.example.com", namespace="tenant", to="public")

    discovery = found([route_to_mine], [*theirs, mine])
    assert summary(discovery) == [("registry", "registries/public", "https://public.example.com")]
    assert "registries/public" not in {ref.id for ref in discovery.untrusted}


@pytest.mark.parametrize("labels", [CATALOG, UPSTREAM_CATALOG])
def test_the_catalogs_service_by_its_real_labels(labels: dict[str, str]) -> None:
    discovery = found([], [service("model-catalog", HTTP, labels=labels)])

    assert summary(discovery) == [("catalog", "registries/model-catalog", "http://model-catalog.registries.svc:8080")]


def test_a_registry_may_be_called_catalog() -> None:
    routes = [
        route("catalog-team-https", host="a.example.com", to="catalog-team", labels={**MANAGED, **REGISTRY}),
        route("model-catalog-https", host="b.example.com", to="model-catalog", labels={**MANAGED, **CATALOG}),
    ]

    assert [(ref.kind, ref.name) for ref in found(routes).refs] == [
        ("registry", "catalog-team"),
        ("catalog", "model-catalog"),
    ]


def test_a_route_without_tls_is_http_and_comes_last() -> None:
    plain = route("a-http", host="a-http.example.com", to="public", tls=False)
    encrypted = route("b-https", host="b-https.example.com", to="public")

    assert [ref.url for ref in found([plain]).refs] == ["http://a-http.example.com"]
    assert [ref.url for ref in found([plain, encrypted]).refs] == ["https://b-https.example.com"]
    assert [ref.url for ref in found([plain], [service("public", HTTPS)]).refs] == [
        "https://public.registries.svc:8443"
    ]


@pytest.mark.parametrize(
    "address", ["public-rest.example.com:443", "public-rest.example.com", "https://public-rest.example.com/"]
)
def test_without_a_route_the_services_address_outside_serves(address: str) -> None:
    services = [service("public", HTTPS, external=address)]

    assert [ref.url for ref in found([], services).refs] == ["https://public-rest.example.com"]
    named = route("public-https", host="r.example.com", to="public")
    assert [ref.url for ref in found([named], services).refs] == ["https://r.example.com"]


@pytest.mark.parametrize("address", ["[bad", "user@host", "host/path", "host:70000", ""])
def test_an_address_outside_that_is_none_leaves_the_service(address: str) -> None:
    assert [ref.url for ref in found([], [service("public", HTTPS, external=address)]).refs] == [
        "https://public.registries.svc:8443"
    ]


def test_an_http_route_with_a_host_leads_to_its_service() -> None:
    services = [service("public", HTTPS)]

    assert [ref.url for ref in found([http_route("gateway.example.com")], services).refs] == [
        "https://gateway.example.com/model-registry/public"
    ]
    assert [ref.url for ref in found([http_route()], services).refs] == ["https://public.registries.svc:8443"]


@pytest.mark.parametrize("host", ["[bad", "a b", "user@host", "h:80", "x/y", "a" * 300])
def test_a_host_that_is_none_is_a_problem_and_leaves_the_others(host: str) -> None:
    routes = [route("public-https", host=host, to="public"), route("other", host="other.example.com", to="other")]

    discovery = found(routes)
    assert summary(discovery) == [
        ("registry", "registries/other", "https://other.example.com"),
        ("registry", "registries/public", ""),
    ]
    [problem] = discovery.problems
    assert problem.object == "Route registries/public-https"
    assert "is no host name" in problem.message
