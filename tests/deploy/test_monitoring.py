"""The alerts and the metrics, held by Prometheus' own tool."""

import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.connector.running import connector
from tests.deploy.kustomize import ROOT, render
from tests.waiting import eventually

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool: apt-get install prometheus")
RUNBOOKS = ROOT.parent / "docs/alerts.md"


def groups() -> list[dict[str, Any]]:
    (rules,) = [obj for obj in render(ROOT / "monitoring/base") if obj["kind"] == "PrometheusRule"]
    found: list[dict[str, Any]] = rules["spec"]["groups"]
    return found


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as a file of Prometheus, with their tests next to it."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}), encoding="utf-8")
    shutil.copy(Path(__file__).with_name("alerts.yaml"), tmp_path)
    return tmp_path


def promtool(*arguments: str, cwd: Path | None = None, given: str = "") -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], input=given, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_rules(rules: Path) -> None:
    promtool("check", "rules", "rules.yaml", cwd=rules)


@needs_promtool
def test_alerts_fire_when_something_is_wrong_and_not_otherwise(rules: Path) -> None:
    promtool("test", "rules", "alerts.yaml", cwd=rules)


def test_every_alert_is_tried_and_has_a_runbook() -> None:
    alerts = [rule["alert"] for group in groups() for rule in group["rules"]]
    tried = Path(__file__).with_name("alerts.yaml").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)

    assert headings == alerts
    assert [alert for alert in alerts if f'alertname="{alert}"' not in tried] == []
    links = [rule["annotations"]["runbook_url"] for group in groups() for rule in group["rules"]]
    assert links == [f"https://runbooks.example.com/alerts/#{alert.lower()}" for alert in alerts]


def test_the_documented_command_sets_the_address_of_every_runbook(tmp_path: Path) -> None:
    rules = "deploy/monitoring/base/rules.yaml"
    (command,) = re.findall(rf"^sed -i .*{rules}$", (ROOT.parent / "docs/install.md").read_text("utf-8"), re.MULTILINE)
    copy = tmp_path / rules
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT.parent / rules, copy)
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)

    (written,) = yaml.safe_load_all(copy.read_text(encoding="utf-8"))
    links = [rule["annotations"]["runbook_url"] for group in written["spec"]["groups"] for rule in group["rules"]]
    assert links
    assert all(link.startswith("https://docs.your-company.example/rhoai-connector/alerts/#") for link in links)


@pytest.fixture
async def metrics(tmp_path: Path) -> AsyncIterator[str]:
    """What a running connector tells Prometheus, after a reader has read."""
    manifests = str(ROOT.parent / "examples")
    async with connector("--manifests", manifests, "--state", str(tmp_path / "state")) as running:
        await eventually(lambda: running.url, what="it serves")
        await eventually(running.uris, what="the feed is complete")
        yield (await running.get("/metrics"))[1]


@needs_promtool
async def test_prometheus_finds_nothing_to_improve_in_the_metrics(metrics: str) -> None:
    promtool("check", "metrics", given=metrics)


async def test_the_metrics_say_what_alerts_ask(metrics: str) -> None:
    for sample in (
        'rhoai_connector_condition{name="feed",reason=""} 1.0',
        'rhoai_connector_documents{source="manifests"} 16.0',
        'rhoai_connector_source_stale{source="manifests"} 0.0',
        "rhoai_connector_event_to_served_seconds_count 0.0",
        "rhoai_connector_marks_failed_total 0.0",
        'rhoai_connector_reader_last_read_timestamp_seconds{reader="plain"} 0.0',
    ):
        assert f"{sample}\n" in metrics
    read = re.search(r'last_read_timestamp_seconds\{reader="first-generation"\} (\S+)', metrics)
    looked = re.search(r'last_look_timestamp_seconds\{source="manifests"\} (\S+)', metrics)
    assert read
    assert looked
    assert float(read[1]) > 1e9
    assert float(looked[1]) > 1e9
