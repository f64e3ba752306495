"""The original's normalizer and location, byte for byte, against our storage-rest."""

import base64
import json
from collections.abc import AsyncIterator

import pytest

from tests.storage_rest.running import OriginalLocation, Running, original_location, original_request, running
from tests.waiting import eventually


@pytest.fixture
async def location() -> AsyncIterator[OriginalLocation]:
    async with original_location() as server:
        yield server


@pytest.fixture
async def storage(location: OriginalLocation) -> AsyncIterator[Running]:
    async with running(bridge=location.url) as server:
        yield server


def sent_document(name: str) -> bytes:
    body = original_request(name).split(b"\r\n\r\n", 1)[1]
    return base64.b64decode(json.loads(body)["body"])


async def test_upsert_is_answered_201_without_a_body(storage: Running) -> None:
    for name in ("upsert-kserve", "upsert-kubeflow-with-card"):
        answer = await storage.send(original_request(name))
        assert (answer.status, answer.body) == (201, b"")
        assert "Content-Type" not in answer.headers
        assert answer.headers["Content-Length"] == "0"


async def test_list_names_the_keys_and_nothing_else(storage: Running) -> None:
    answer = await storage.send(original_request("list"))
    assert (answer.status, answer.body) == (200, b'{"keys":[]}')
    assert answer.headers["Content-Type"].startswith("application/json")
    await storage.send(original_request("upsert-kserve"))
    await storage.send(original_request("upsert-kubeflow-with-card"))
    answer = await storage.send(original_request("list"))
    assert answer.body == b'{"keys":["granite-8b_v2","serving_iris"]}'


async def test_fetch_gives_the_storage_body(storage: Running) -> None:
    await storage.send(original_request("upsert-kserve"))
    answer = await storage.send(original_request("fetch"))
    assert answer.status == 200
    assert answer.json() == {
        "body": base64.b64encode(sent_document("upsert-kserve")).decode(),
        "locationId": "",
        "locationTarget": "",
        "locationIDValid": False,
        "reconcilerType": "kserve",
        "lastUpdateTimeSinceEpoch": "",
    }


async def test_currentkeyset_removes_what_is_not_named(storage: Running, location: OriginalLocation) -> None:
    await storage.send(original_request("upsert-kserve"))
    await storage.send(original_request("upsert-kubeflow-with-card"))
    answer = await storage.send(original_request("currentkeyset-two"))
    assert (answer.status, answer.body, storage.service.stored.keys) == (200, b"", ["granite-8b_v2", "serving_iris"])
    await storage.send(original_request("currentkeyset-one"))
    assert storage.service.stored.keys == ["granite-8b_v2"]
    await eventually(lambda: list(location.documents) == ["granite-8b_v2"], what="removed from location")
    answer = await storage.send(original_request("currentkeyset-none"))
    assert (answer.status, answer.headers["X-Connector-Held"]) == (200, "1"), "all at once is doubted"
    assert storage.service.stored.keys == ["granite-8b_v2"]


async def test_pushes_are_the_requests_of_the_original(storage: Running, location: OriginalLocation) -> None:
    await storage.send(original_request("upsert-kserve"))
    await storage.send(original_request("upsert-kubeflow-with-card"))
    await eventually(lambda: len(location.documents) == 2, what="pushed")
    await storage.send(original_request("currentkeyset-one"))
    await eventually(lambda: len(location.documents) == 1, what="removed")
    for name in ("to-location-upsert-kserve", "to-location-upsert-with-card", "to-location-remove"):
        head, _, body = original_request(name).partition(b"\r\n\r\n")
        method, path, _ = head.decode().split(" ", 2)
        found = [request for request in location.requests if request[:2] == (method, path)]
        assert found, f"no {method} {path}"
        assert found[0][2] == body
        assert found[0][3]["Authorization"] == "Bearer sesame"
        assert found[0][3]["X-Connector-Revision"]


async def test_known_to_be_complete_after_currentkeyset(storage: Running) -> None:
    await storage.send(original_request("upsert-kserve"))
    assert not storage.service.stored.complete
    await storage.send(original_request("currentkeyset-two"))
    assert not storage.service.stored.complete, "granite-8b_v2 is named and not there yet"
    await storage.send(original_request("upsert-kubeflow-with-card"))
    await storage.send(original_request("currentkeyset-two"))
    assert storage.service.stored.complete


async def test_an_empty_keyset_makes_no_empty_feed_complete(storage: Running) -> None:
    assert (await storage.send(original_request("currentkeyset-none"))).status == 200
    assert not storage.service.stored.complete
    assert not storage.service.snapshot().confirmed
    await storage.send(original_request("upsert-kserve"))
    await storage.send(original_request("currentkeyset-none"))
    assert not storage.service.stored.complete
    assert storage.service.stored.keys == ["serving_iris"], "all there is waits for the hold"


async def test_a_location_that_starts_is_sent_everything_again(storage: Running, location: OriginalLocation) -> None:
    await storage.send(original_request("upsert-kserve"))
    await eventually(lambda: location.documents, what="pushed")
    location.documents.clear()  # it restarts, and reads list and documents
    await storage.send(original_request("list"))
    await storage.send(original_request("fetch"))
    await eventually(lambda: "serving_iris" in location.documents, what="pushed again")


async def test_a_card_is_kept_when_an_upsert_comes_without_its_text(storage: Running) -> None:
    request = original_request("upsert-kubeflow-with-card")
    head, _, body = request.partition(b"\r\n\r\n")
    await storage.send(request)
    bare = json.dumps({**json.loads(body), "modelCard": ""}).encode()
    length = f"Content-Length: {len(body)}".encode()
    await storage.send(head.replace(length, f"Content-Length: {len(bare)}".encode()) + b"\r\n\r\n" + bare)
    assert "umlaut" in (storage.service.stored.card("catalogacmegranite-8b") or "")
