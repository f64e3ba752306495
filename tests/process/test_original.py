"""The original's clients, byte for byte, against our processes: any of the three may be replaced alone."""

import asyncio
import json
import re

import pytest

from tests.process.conftest import TOKEN
from tests.process.pod import LOCATION, STORAGE, Answer, Pod
from tests.storage_rest.running import WIRE
from tests.waiting import eventually


def request(name: str, token: str = TOKEN) -> bytes:
    """A request as it was sent, with this token."""
    return (WIRE / f"{name}.request").read_bytes().replace(b"Bearer TOKEN", f"Bearer {token}".encode())


async def send(pod: Pod, name: str, raw: bytes) -> Answer:
    """Send bytes to a service over a connection of their own."""
    host, _, port = pod[name].url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(raw)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(re.findall(r"^([^:\r\n]+): (.*)\r$", head, re.MULTILINE))
        body = await reader.readexactly(int(headers.get("Content-Length", 0)))
        return Answer(int(head.split()[1]), headers, body)
    finally:
        writer.close()
        await writer.wait_closed()


SERVED = "/serving/iris/model-catalog.json", "/granite-8b/v2/model-catalog.json"
CARD = "/modelcard?key=catalogacmegranite-8b"


async def test_the_normalizer_of_the_original(pod: Pod) -> None:
    pod.set(STORAGE, REMOVAL_HOLD="0")  # it removes all that there is, which waits otherwise
    await pod.start(STORAGE, LOCATION, ready=False)
    await pod.alive(STORAGE, LOCATION)

    for name in ("upsert-kserve", "upsert-kubeflow-with-card"):
        answer = await send(pod, STORAGE, request(name))
        assert (answer.status, answer.body) == (201, b"")
    assert (await pod.get(LOCATION, "/list")).status == 503, "no one has said that this is all"
    assert (await send(pod, STORAGE, request("currentkeyset-two"))).status == 200
    await pod.serving(*SERVED)
    card = await eventually(lambda: pod.get(LOCATION, CARD), what="the card")
    assert card.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert "umlaut" in card.body.decode()

    assert (await send(pod, STORAGE, request("currentkeyset-one"))).status == 200
    await pod.serving(SERVED[1])
    assert (await send(pod, STORAGE, request("currentkeyset-none"))).status == 200
    await pod.serving()


async def test_the_location_of_the_original_reads_our_storage(pod: Pod) -> None:
    await pod.start(STORAGE)
    await send(pod, STORAGE, request("upsert-kserve"))

    assert (await send(pod, STORAGE, request("list"))).body == b'{"keys":["serving_iris"]}'
    fetched = (await send(pod, STORAGE, request("fetch"))).json()
    sent = json.loads(request("upsert-kserve").partition(b"\r\n\r\n")[2])
    assert fetched["body"] == sent["body"]


async def test_the_storage_of_the_original_pushes_to_our_location(pod: Pod) -> None:
    await pod.start(LOCATION, ready=False)
    await pod.alive(LOCATION)

    for name in ("to-location-upsert-kserve", "to-location-upsert-with-card"):
        assert (await send(pod, LOCATION, request(name))).status == 201
    assert (await send(pod, LOCATION, request("to-location-remove"))).status == 200
    assert (await pod.get(LOCATION, "/list")).status == 503, "its storage has not been read"


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (STORAGE, "upsert-kserve"),
        (STORAGE, "currentkeyset-none"),
        (LOCATION, "to-location-upsert-kserve"),
        (LOCATION, "to-location-remove"),
    ],
)
async def test_a_wrong_token_writes_nothing(pod: Pod, service: str, name: str) -> None:
    await pod.start(service, ready=False)
    await pod.alive(service)

    answer = await send(pod, service, request(name, token="wrong"))
    assert answer.status == 403
    anonymous = re.sub(rb"Authorization: [^\r]*\r\n", b"", request(name))
    assert (await send(pod, service, anonymous)).status == 401
