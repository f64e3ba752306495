from tests.deploy.documented import containers, environment

SECRET = {"token": "eyJhbGciOi", "ca.crt": "-----BEGIN CERTIFICATE-----", "namespace": "ai-rhdh"}


def test_there_are_the_three_documented_containers() -> None:
    assert list(containers()) == ["location", "storage-rest", "rhoai-normalizer"]
    assert {name: spec.ports for name, spec in containers().items()} == {
        "location": (9090,),
        "storage-rest": (),
        "rhoai-normalizer": (),
    }
    assert {spec.working_dir for spec in containers().values()} == {"/opt/app-root/src"}
    assert containers()["rhoai-normalizer"].args == ("--metrics-address=:8081",)


def test_the_secret_becomes_variables_named_as_its_keys() -> None:
    variables = environment("location", secret=SECRET, pod_ip="10.128.2.7", namespace="ai-rhdh")

    assert variables == {
        "token": "eyJhbGciOi",
        "ca.crt": "-----BEGIN CERTIFICATE-----",
        "namespace": "ai-rhdh",
        "NORMALIZER_FORMAT": "JsonArrayFormat",
        "POD_IP": "10.128.2.7",
        "POD_NAMESPACE": "ai-rhdh",
    }


def test_storage_is_told_where_location_is() -> None:
    variables = environment("storage-rest", secret=SECRET, pod_ip="10.128.2.7", namespace="ai-rhdh")

    assert variables["STORAGE_TYPE"] == "ConfigMap"
    assert variables["BRIDGE_URL"] == "http://localhost:9090"
