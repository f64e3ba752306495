"""Where a deployment answers: its status, put right by the Services that it owns."""

from typing import Any

import pytest

from common.annotations import EXTERNAL_URL_ANNOTATION, INTERNAL_URL_ANNOTATION
from common.catalog import Api
from services.normalizer.normalize.addresses import is_internal
from tests.normalizer.normalize.objects import URL, isvc, normalized, owned, server_of, status

HOST = "http://mnist-predictor.vision.svc.cluster.local"
ADDRESS = {"address": {"url": HOST}}


def api(*objects: dict[str, Any]) -> Api:
    return server_of(normalized(*objects).document).api


def service(*ports: dict[str, Any], headless: bool = False, name: str = "mnist-predictor", **more: Any) -> Any:
    return owned("Service", name, clusterIP="None" if headless else "10.96.3.7", ports=list(ports), **more)


@pytest.mark.parametrize(
    ("ports", "headless", "expected"),
    [
        ([{"port": 80, "targetPort": 8080}], False, HOST),
        ([{"port": 80, "targetPort": 8080}], True, f"{HOST}:8080"),
        ([{"port": 80, "targetPort": "http1"}], True, HOST),
        ([{"port": 8033}], False, f"{HOST}:8033"),
        ([{"port": 8888, "targetPort": 80}], True, HOST),
        ([{"port": 8443, "name": "https", "targetPort": "https"}], True, f"{HOST.replace('http', 'https')}:8443"),
        ([{"port": 443, "name": "https", "targetPort": 8443}], False, HOST.replace("http", "https")),
        ([{"port": 8443}], False, f"{HOST.replace('http', 'https')}:8443"),
        ([{"port": 8443, "name": "http"}], False, f"{HOST}:8443"),
        ([{"port": 9000, "appProtocol": "https"}], False, f"{HOST.replace('http', 'https')}:9000"),
        ([{"port": 8443, "name": "https"}, {"port": 80, "targetPort": 8080}], False, HOST),
        ([{"port": 9000, "name": "grpc"}, {"port": 8080, "name": "http"}], False, f"{HOST}:8080"),
        ([{"port": 9100, "name": "metrics"}, {"port": 8080, "name": "main"}], False, f"{HOST}:8080"),
        ([{"port": 80, "name": "h2c", "targetPort": 9000}], True, f"{HOST}:9000"),
        ([{"port": 0}], False, HOST),
        ([], False, HOST),
    ],
)
def test_scheme_and_port_are_the_services(ports: list[dict[str, Any]], headless: bool, expected: str) -> None:
    found = api(isvc(status=status(None) | ADDRESS), service(*ports, headless=headless))
    assert (found.url, found.annotations) == (expected, {INTERNAL_URL_ANNOTATION: expected})


def test_path_of_an_address_is_kept() -> None:
    address = {"address": {"url": f"{HOST}/v1/models/mnist:predict"}}
    found = api(isvc(status=status(None) | address), service({"port": 80, "targetPort": 8080}, headless=True))
    assert found.url == f"{HOST}:8080/v1/models/mnist:predict"


@pytest.mark.parametrize("url", [HOST, f"{HOST}:8080", "http://mnist.vision", "http://mnist.vision.svc.cluster.local"])
def test_without_a_service_of_that_name_the_status_counts(url: str) -> None:
    other = service({"port": 80, "targetPort": 8080}, headless=True, name="mnist-metrics")
    assert api(isvc(status=status(url)), other).url == url


def test_a_service_that_stands_for_another_name_changes_nothing() -> None:
    url = "http://mnist.vision.svc.cluster.local"
    knative = owned(
        "Service", "mnist", type="ExternalName", externalName="gateway.istio-system.svc", ports=[{"port": 8}]
    )
    assert api(isvc(status=status(url)), knative).url == url


def test_external_and_internal_address_are_both_told() -> None:
    found = api(isvc(status=status() | ADDRESS), service({"port": 80, "targetPort": 8080}, headless=True))
    assert found.url == URL
    assert found.annotations == {EXTERNAL_URL_ANNOTATION: URL, INTERNAL_URL_ANNOTATION: f"{HOST}:8080"}


def test_an_external_address_alone_needs_no_annotation() -> None:
    found = api(isvc())
    assert (found.url, found.annotations) == (URL, {})


@pytest.mark.parametrize("label", ["networking.kserve.io/visibility", "networking.knative.dev/visibility"])
def test_what_is_local_to_the_cluster_has_no_external_address(label: str) -> None:
    found = api(isvc(status=status() | ADDRESS, labels={label: "cluster-local"}))
    assert (found.url, found.annotations) == (HOST, {INTERNAL_URL_ANNOTATION: HOST})


def test_components_of_the_status_do_not_count() -> None:
    components = {"components": {"predictor": {"url": "http://mnist-predictor-vision.example.com"}}}
    assert normalized(isvc(status=status(None) | components)).document.model_server is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mnist-predictor"], "mnist-predictor"),
        (["a-predictor", "mnist-predictor", "z-predictor"], "mnist-predictor"),
        (["mnist-predictor", "mnist-transformer", "mnist-explainer"], "mnist-transformer"),
        (["mnist-head-1", "mnist-workers-1", "mnist-explainer"], None),
        ([], None),
    ],
)
def test_without_an_address_the_service_that_takes_the_requests_is_it(names: list[str], expected: str | None) -> None:
    services = [service({"port": 80, "targetPort": 8080}, name=name) for name in names]
    server = normalized(isvc(status=status(None)), *services).document.model_server
    assert (server.api.url if server else None) == (expected and f"http://{expected}.vision.svc.cluster.local")


@pytest.mark.parametrize(
    "other",
    [
        owned("Service", "mnist-predictor", by="other", ports=[{"port": 80}]),
        owned("Service", "mnist-predictor", uid="of-an-earlier-mnist", ports=[{"port": 80}]),
        {**owned("Service", "mnist-predictor"), "metadata": {"name": "mnist-predictor", "namespace": "elsewhere"}},
    ],
)
def test_services_of_others_are_no_address(other: dict[str, Any]) -> None:
    alone = isvc(status=status(None), metadata={"uid": "of-this-mnist"})
    assert normalized(alone, other).document.model_server is None


@pytest.mark.parametrize(
    ("host", "internal"),
    [
        ("mnist.vision.svc", True),
        ("mnist.vision.svc.cluster.local", True),
        ("mnist.vision.svc.corp.example", True),
        ("mnist.vision", True),
        ("mnist", True),
        ("models.corp.internal", True),
        ("models.local", True),
        ("10.1.2.3:8080", True),
        ("192.168.1.1", True),
        ("[fd00::1]:8080", True),
        ("mnist.elsewhere", False),
        ("example.com", False),
        ("203.0.113.10", False),
        ("[2001:db8::1]", False),
        ("svc.example.com", False),
    ],
)
def test_hosts_that_are_known_inside_only(host: str, internal: bool) -> None:
    assert is_internal(f"http://{host}/x", namespace="vision") is internal


@pytest.mark.parametrize(
    ("protocol", "ports", "grpc"),
    [
        ("grpc-v2", None, True),
        ("v2", None, False),
        ("grpc-v2", {"port": 80, "name": "mnist-predictor"}, True),
        ("grpc-v2", {"port": 8443, "name": "https"}, False),
        ("", {"port": 80, "name": "h2c"}, True),
        ("", {"port": 9000, "appProtocol": "kubernetes.io/h2c"}, True),
        ("", {"port": 9000, "name": "grpc-port"}, True),
    ],
)
def test_type_of_the_api(protocol: str, ports: dict[str, Any] | None, grpc: bool) -> None:
    predictor = {"model": {"modelFormat": {"name": "onnx"}, "protocolVersion": protocol}}
    services = [service(ports)] if ports else []
    found = api(isvc(predictor=predictor, status=status(None) | ADDRESS), *services)
    assert found.type == ("grpc" if grpc else "openapi")


def test_a_grpc_address_is_of_type_grpc_and_what_people_say_goes_before() -> None:
    url = status("grpc://mnist.example.com:443")
    assert api(isvc(status=url)).type == "grpc"
    assert api(isvc(status=url, said={"apitype": "openapi"})).type == "openapi"
