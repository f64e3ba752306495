"""Deployments with connections, as the platform stored them: where the files are, with and without their Secrets."""

from typing import Any

import pytest

from services.normalizer.normalize.connection import Connection, read_connection
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.links import as_link
from services.normalizer.normalize.result import Notes
from services.normalizer.normalize.storage import locate, secret_name
from tests.normalizer.normalize import golden
from tests.normalizer.normalize.objects import normalized_deployment

READERS = {"InferenceService": read_isvc, "LLMInferenceService": read_llmisvc}
GOLDEN = golden.read("connections/connections.json")
CASES = {f"{case['platform']} {case['case']}": case for case in GOLDEN["cases"]}
CANARY = "CANARY"


def deployment_of(case: dict[str, Any]) -> Deployment:
    return READERS[case["object"]["kind"]](case["object"])


def connection_of(case: dict[str, Any], deployment: Deployment) -> Connection | None:
    """Return what may be read of the Secret that leads to the files, None when no Secret of that name is there."""
    name = secret_name(deployment.storage)
    secrets = {secret["metadata"]["name"]: secret for secret in (GOLDEN["secrets"][n] for n in case["secrets"])}
    if name not in secrets:
        return None
    return read_connection(secrets[name], namespace=deployment.namespace, name=name)


def test_all_cases_are_there() -> None:
    assert len(CASES) == 230


@pytest.mark.parametrize("name", CASES)
def test_location_without_the_secret(name: str) -> None:
    case = CASES[name]
    deployment = deployment_of(case)
    assert deployment.storage.connection == case["connection"]
    assert locate(deployment.storage, Notes("x")).url == (as_link(case["location"].strip()) or "")


@pytest.mark.parametrize("name", CASES)
def test_location_with_the_secret(name: str) -> None:
    case = CASES[name]
    deployment = deployment_of(case)
    connection = connection_of(case, deployment)
    place = locate(deployment.storage, Notes("x"), connection)
    assert place.url == (as_link(case["withSecret"].strip()) or "")
    result = normalized_deployment(deployment, connection=connection)
    assert CANARY not in repr((connection, place, result))
    assert CANARY not in result.document.encode().decode()
    assert CANARY not in result.details.encode().decode()
