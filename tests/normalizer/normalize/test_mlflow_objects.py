from typing import Any

import pytest

from common.details import DetailLink
from services.normalizer.normalize.mlflow_objects import Run, read_version
from services.normalizer.normalize.registry_objects import ModelVersion

RUN = Run(id="0a1b", name="gentle-fox-7", experiment="42", user="", metrics="")
PUBLIC = "https://mlflow.example.com/tracking/"


def version(url: str, run: Run | None = None, **fields: Any) -> ModelVersion:
    raw = {"name": "churn model", "version": "7", "status": "READY", **fields}
    found = read_version(raw, aliases=(), run=run, url=url, registry="mlflow")
    assert isinstance(found, tuple)
    return found[0]


def test_the_pages_of_a_version_are_linked_if_browsers_reach_the_server() -> None:
    assert version(PUBLIC, RUN, run_link="https://notebooks.example.com/9").pages == (
        DetailLink(
            "https://mlflow.example.com/tracking/#/models/churn%20model/versions/7", "MLflow: version 7", "catalog"
        ),
        DetailLink("https://mlflow.example.com/tracking/#/experiments/42/runs/0a1b", "MLflow: run gentle-fox-7"),
        DetailLink("https://mlflow.example.com/tracking/#/experiments/42", "MLflow: experiment of the run"),
        DetailLink("https://notebooks.example.com/9", "Run that made this version"),
    )


def test_a_run_without_a_name_or_an_experiment_is_linked_as_far_as_it_can_be() -> None:
    assert [page.title for page in version(PUBLIC, RUN._replace(name="")).pages][1] == "MLflow: run 0a1b"
    assert [page.title for page in version(PUBLIC, RUN._replace(experiment="")).pages] == ["MLflow: version 7"]
    assert [page.title for page in version(PUBLIC).pages] == ["MLflow: version 7"]


@pytest.mark.parametrize("url", ["http://mlflow.tracking.svc.cluster.local:5000", "http://mlflow", "http://10.0.0.9"])
def test_nothing_is_linked_that_only_the_cluster_reaches(url: str) -> None:
    assert version(url, RUN).pages == ()


@pytest.mark.parametrize("link", ["javascript:alert(1)", "notebook 9", "s3://bucket/run"])
def test_a_run_is_linked_only_to_a_web_address(link: str) -> None:
    assert [page.title for page in version(PUBLIC, run_link=link).pages] == ["MLflow: version 7"]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "LIVE"),
        ({"status": ""}, "LIVE"),
        ({"current_stage": "Production"}, "LIVE"),
        ({"current_stage": "Archived"}, "ARCHIVED"),
        ({"status": "PENDING_REGISTRATION"}, "PENDING_REGISTRATION"),
        ({"status": "FAILED_REGISTRATION"}, "FAILED_REGISTRATION"),
    ],
)
def test_a_version_is_live_once_it_is_registered_and_until_it_is_archived(fields: dict[str, Any], state: str) -> None:
    assert version(PUBLIC, **fields).state == state
