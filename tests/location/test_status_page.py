"""The status page without a browser; tests/page looks at it with one."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from common.http.access import AccessPolicy
from common.secrets import StaticToken
from common.status import HiddenStatus, NormalizerStatus
from services.location.status.neighbours import Neighbours, in_process
from services.location.status.page import ago
from services.location.status.routes import OPEN_PATHS
from tests.location.conftest import TOKEN, Location, running_location
from tests.location.samples import model_document, upsert

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"


async def page(location: Location, path: str = "/", **headers: str) -> str:
    status, _, body = await location.get(path, **headers)
    assert status == 200
    return body.decode()


async def test_the_page_runs_nothing_and_asks_no_one_else(location: Location) -> None:
    _, headers, body = await location.get("/")

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert b"<style" not in body
    assert b"style=" not in body
    assert body.count(b"<script") == body.count(b"<script src=") == 1
    assert b"://" not in body.replace(b"http://localhost", b"").replace(b"http://127.0.0.1", b"")
    for asset in ("style.css", "script.js", "icon.svg"):
        status, headers, _ = await location.get(f"/status/{asset}")
        assert (status, headers["X-Content-Type-Options"]) == (200, "nosniff")


async def test_names_are_escaped(location: Location) -> None:
    location.fill(upsert("a_1", body=model_document(SCRIPT, owner=SCRIPT, lifecycle=SCRIPT)))

    shown = await page(location, "/?q=%3Cscript%3E")
    assert SCRIPT not in shown
    assert shown.count("&lt;script&gt;alert(1)") >= 3
    assert 'value="&lt;script&gt;"' in shown


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//example.com", "/list"])
async def test_a_card_that_is_no_page_is_no_link(location: Location, address: str) -> None:
    body = json.loads(model_document("m"))
    body["models"][0]["annotations"] = {"TechDocs": address}
    location.fill(upsert("a_1", body=json.dumps(body).encode()))

    shown = await page(location)
    assert f'href="{address}' not in shown
    assert f'href="{address.removeprefix("/")}" rel' not in shown
    assert address in shown


async def test_before_the_feed_is_complete_the_page_says_what_is_waited_for(location: Location) -> None:
    shown = await page(location)

    assert "Nothing is served: the feed waits for a first look at storage." in shown
    assert "its address is not configured" in shown


async def test_from_elsewhere_the_page_names_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.http.access.is_local", lambda request: False)
    hidden = HiddenStatus(object="InferenceService ai/secret", cause="stopped")
    normalizer = NormalizerStatus(version="1", started=NOW, hidden=(hidden,))
    access = AccessPolicy(token=StaticToken(TOKEN), open_paths=OPEN_PATHS)
    neighbours = Neighbours(normalizer=in_process("rhoai-normalizer", lambda: normalizer))
    async with running_location(access=access, neighbours=neighbours) as location:
        location.fill(upsert("a_secret"))
        seen = await page(location)
        named = await page(location, Authorization=f"Bearer {TOKEN}")

    assert "secret" not in seen
    assert "Models served: 1;" in seen
    assert "a_secret" in named
    assert "ai/secret" in named


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ({"seconds": 0}, "just now"),
        ({"seconds": 59}, "59 s ago"),
        ({"seconds": 60}, "1 min ago"),
        ({"minutes": 59}, "59 min ago"),
        ({"hours": 47}, "47 h ago"),
        ({"days": 2}, "2 days ago"),
        ({"seconds": -5}, "just now"),
    ],
)
def test_ages_are_reported_in_words(time: dict[str, int], words: str) -> None:
    assert ago(NOW - timedelta(**time), NOW) == words
