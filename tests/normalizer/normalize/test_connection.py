"""What a predictor's pod says about its connection."""

import pytest

from services.normalizer.normalize.connection import fetched_bucket
from tests import objects


@pytest.mark.parametrize(
    ("fetched", "bucket"),
    [
        ("s3://acme/models/iris", "acme"),
        ("s3://acme", "acme"),
        ("s3://user:canary@acme/iris", "acme"),
        ("s3:///iris", ""),
        ("gs://acme/iris", ""),
        ("<scheme-placeholder>://iris", ""),
        ("", ""),
    ],
)
def test_the_storage_initializer_is_given_the_bucket(fetched: str, bucket: str) -> None:
    assert fetched_bucket(objects.predictor_pod(objects.isvc("iris"), fetched=fetched)) == bucket


def test_the_first_of_several_locations_that_is_in_a_bucket_counts() -> None:
    pod = objects.predictor_pod(objects.isvc("iris"), fetched="")
    (initializer,) = pod["spec"]["initContainers"]
    initializer["args"] = ["pvc://claim/base", "/mnt/models/base", "s3://acme/adapter", "/mnt/models/adapter"]
    assert fetched_bucket(pod) == "acme"


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {"initContainers": None},
        {"initContainers": [None, {"name": "istio-init", "args": ["s3://other/x"]}]},
        {"initContainers": [{"name": "storage-initializer", "args": [1, None, {}]}]},
        {"containers": [{"name": "storage-initializer", "args": ["s3://other/x"]}]},
    ],
)
def test_nothing_but_its_arguments_is_looked_at(spec: object) -> None:
    assert fetched_bucket({"spec": spec}) == ""
