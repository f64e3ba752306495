"""What the first-generation reader and its TechDocs reader get."""

import gzip
import json

import pytest

from tests.location.conftest import Location
from tests.location.samples import model_document, shows, upsert

FEED = ["/list", "/mnist/v1/model-catalog.json", "/modelcard?key=k", "/modelcard/k"]


@pytest.mark.parametrize("path", FEED)
async def test_nothing_is_shown_before_the_feed_is_complete(location: Location, path: str) -> None:
    location.fill(upsert(), cards={"k": "# card"}, complete=False)
    status, headers, body = await location.get(path)
    assert status == 503
    assert headers["Retry-After"].isdigit()
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["waitingFor"] == "a first look at storage"
    ready, _, report = await location.get("/readyz")
    assert ready == 503
    assert "a first look at storage" in report.decode()


async def test_an_empty_catalogue_known_to_be_empty_is_an_empty_list(location: Location) -> None:
    location.fill()
    assert (await location.get("/list"))[::2] == (200, b'{"uris":[]}')
    assert (await location.get("/readyz"))[0] == 200


async def test_the_list_names_exactly_what_is_served_sorted(location: Location) -> None:
    location.fill(upsert("b_1"), upsert("a_2", body=model_document("a2")), upsert("a_1"))
    status, headers, body = await location.get("/list")
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    uris = json.loads(body)["uris"]
    assert uris == ["/a/1/model-catalog.json", "/a/2/model-catalog.json", "/b/1/model-catalog.json"]
    for uri in uris:
        assert (await location.get(uri))[0] == 200
    assert shows((await location.get("/a/2/model-catalog.json"))[2], model_document("a2"))


async def test_a_document_is_served_with_all_that_it_says(location: Location) -> None:
    location.fill(upsert(body=model_document(description="Größe 数")))
    status, headers, body = await location.get("/mnist/v1/model-catalog.json")
    assert status == 200
    assert shows(body, model_document(description="Größe 数"))
    assert headers.getall("Content-Type") == ["application/json"]
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_document_is_to_be_had_as_it_is_stored(location: Location) -> None:
    stored = model_document(description="As stored")
    location.fill(upsert(body=stored))
    plain = (await location.get("/mnist/v1/model-catalog.json"))[2]
    asked = (await location.get("/mnist/v1/model-catalog.json?form=stored"))[2]
    assert json.loads(asked) == json.loads(stored)
    assert plain != asked


async def test_the_list_follows_what_comes_and_goes(location: Location) -> None:
    location.fill(upsert("a_1"))
    first = await location.get("/list")
    location.fill(upsert("a_1"), upsert("b_1"))
    second = await location.get("/list", If_None_Match=first[1]["ETag"])
    assert (second[0], len(json.loads(second[2])["uris"])) == (200, 2)
    location.fill(upsert("b_1"))
    assert json.loads((await location.get("/list"))[2]) == {"uris": ["/b/1/model-catalog.json"]}
    assert (await location.get("/a/1/model-catalog.json"))[0] == 404


@pytest.mark.parametrize("path", ["/list", "/mnist/v1/model-catalog.json", "/modelcard?key=k"])
async def test_validators_and_head(location: Location, path: str) -> None:
    location.fill(upsert(), cards={"k": "# card"})
    status, headers, body = await location.get(path)
    etag = headers["ETag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again, again_headers, nothing = await location.get(path, If_None_Match=given)
        assert (again, nothing, again_headers["ETag"]) == (304, b"", etag)
    assert (await location.get(path, If_None_Match='"other"'))[::2] == (200, body)
    async with location.client.head(path, headers={"Accept-Encoding": "identity"}) as answer:
        assert (answer.status, answer.headers["ETag"], await answer.read()) == (200, etag, b"")
        assert answer.headers["Content-Length"] == str(len(body))
    assert status == 200


async def test_gzip_is_sent_to_those_who_ask_for_it(location: Location) -> None:
    document = model_document(description="long " * 1000)
    location.fill(upsert(body=document))
    path = "/mnist/v1/model-catalog.json"
    plain = await location.get(path, Accept_Encoding="identity")
    packed = await location.get(path, Accept_Encoding="br, gzip;q=0.8")
    assert packed[1]["Content-Encoding"] == "gzip"
    assert packed[1]["Vary"] == plain[1]["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed[2]) == plain[2]
    assert shows(plain[2], document)
    assert packed[1]["ETag"] != plain[1]["ETag"]
    assert (await location.get(path, Accept_Encoding="gzip", If_None_Match=packed[1]["ETag"]))[0] == 304
    assert (await location.get(path, Accept_Encoding="gzip;q=0"))[2] == plain[2]


async def test_a_card_is_markdown_and_is_there_every_time(location: Location) -> None:
    location.fill(cards={"redhat_ai/granite": "# Granite\n\nGröße", "empty": ""})
    for path in (
        "/modelcard?key=redhat_ai/granite&raw=true",
        "/modelcard?key=redhat_ai%2Fgranite&raw=true",
        "/modelcard/redhat_ai%2Fgranite?raw=true",
    ):
        for _ in range(13):  # more often than any counter of reads would allow
            status, headers, body = await location.get(path)
            assert (status, headers["Content-Type"]) == (200, "text/markdown; charset=utf-8")
            assert body.decode() == "# Granite\n\nGröße"
    assert (await location.get("/modelcard?key=empty&raw=true"))[::2] == (200, b"")
    assert (await location.get("/modelcard?key=unknown"))[0] == 404
    assert (await location.get("/modelcard"))[0] == 400


async def test_the_root_says_what_is_where(location: Location) -> None:
    status, headers, body = await location.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b'href="list"' in body


async def test_metrics_tell_what_is_served(location: Location) -> None:
    prefix = "rhoai_connector_location"
    assert f"{prefix}_complete 0.0" in (await location.get("/metrics"))[2].decode()
    location.fill(upsert(), cards={"k": ""})
    text = (await location.get("/metrics"))[2].decode()
    for line in (f"{prefix}_documents 1.0", f"{prefix}_cards 1.0", f"{prefix}_complete 1.0"):
        assert line in text
    assert f"{prefix}_last_change_timestamp_seconds 1." in text
