import json
import re
from pathlib import Path
from typing import Any

import pytest

from common import details
from services.connector.preview import Preview, preview
from services.connector.reading import Reading
from services.normalizer.normalize.profile import FIELDS
from services.normalizer.normalize.result import Defaults
from services.normalizer.normalize.stated import ANNOTATION_PREFIX

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = {
    "ai-assistants_granite-31-8b-instruct",
    "ai-assistants_llama-33-70b-instruct-fp8",
    "ai-assistants_qwen",
    "credit-risk_score",
    "credit_limits--v2",
    "credit_risk-score",
    "customer-analytics_churn-score",
    "customer-analytics_review-sentiment",
    "demo_iris",
    "logistics_arrival-times",
    "logistics_demand-forecast",
    "payments_card-fraud",
    "plant-vision_surface-defects",
    "search_product-embeddings",
    "search_result-ranker",
    "support_support-8b",
}


@pytest.fixture(scope="module")
def result() -> Preview:
    with Reading([EXAMPLES]) as files:
        return preview(files, defaults=Defaults(owner="nobody", lifecycle="development"))


def document(result: Preview, key: str) -> dict[str, Any]:
    return dict(json.loads(next(shown.document for shown in result.shown if shown.key == key)))


def test_all_are_usable_and_those_that_should_be_are_shown(result: Preview) -> None:
    assert not result.fails("warning")
    assert {shown.key for shown in result.shown} == SHOWN
    kustomization = str(EXAMPLES / "kustomize" / "overlays" / "prod" / "kustomization.yaml")
    assert {of_one[0].problem.object for of_one in result.hidden} == {
        kustomization,
        "InferenceService ai-assistants/mixtral-8x7b",
        "InferenceService ai-assistants/sandbox",
        "InferenceService media/whisper-large-v3",
    }


def test_one_of_them_uses_every_annotation() -> None:
    text = (EXAMPLES / "granite-vllm.yaml").read_text(encoding="utf-8")

    assert set(re.findall(rf"^ +{re.escape(ANNOTATION_PREFIX)}(\w+):", text, re.MULTILINE)) == FIELDS


def test_they_show_what_their_comments_say(result: Preview) -> None:
    authenticated = {
        shown.key for shown in result.shown if document(result, shown.key).get("modelServer", {}).get("authentication")
    }
    addresses = {
        key: document(result, key)["modelServer"]["API"]["url"]
        for key in ("customer-analytics_churn-score", "logistics_arrival-times")
    }
    names = {key: document(result, key)["models"][0]["name"] for key in ("credit_risk-score", "credit-risk_score")}

    assert authenticated == {"ai-assistants_llama-33-70b-instruct-fp8", "payments_card-fraud"}
    assert addresses == {
        "customer-analytics_churn-score": "http://churn-score-predictor.customer-analytics.svc.cluster.local:8080",
        "logistics_arrival-times": "http://arrival-times-predictor.logistics.svc.cluster.local",
    }
    assert names["credit_risk-score"] == "credit-risk-score"
    assert re.fullmatch(r"credit-risk-score-[0-9a-f]{8}", names["credit-risk_score"])
    assert document(result, "payments_card-fraud")["modelServer"]["API"]["type"] == "grpc"
    assert "modelServer" not in document(result, "search_product-embeddings")


def test_the_table_names_every_file() -> None:
    listed = re.findall(r"^\| \[([\w.-]+)\]\(\1\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(listed) == sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in (".yaml", ".json"))


def test_the_dashboards_deployment_is_reported_as_people_wrote_it(result: Preview) -> None:
    shown = next(shown for shown in result.shown if shown.key == "support_support-8b")
    kept = details.decode(shown.upsert.details)
    assert (kept.title, kept.names, kept.system) == (
        "Support assistant 8B",
        ("support", "support-de"),
        "system:default/support-desk",
    )
    assert kept.location == "path support/8b in the bucket of connection aws-support-models"
    assert document(result, shown.key)["models"][0]["owner"] == "jane.doe"


def test_the_bucket_of_its_connection_is_shown_where_connections_are_read() -> None:
    with Reading([EXAMPLES / "support-dashboard.yaml"]) as files:
        result = preview(files, defaults=Defaults(), connections=True)
    (shown,) = result.shown
    assert document(result, shown.key)["models"][0]["artifactLocationURL"] == "s3://support-models/support/8b"
    assert not [each.problem for each in shown.noticed if "connection" in each.problem.object]
    assert b"not-a-real" not in shown.document + shown.upsert.details
