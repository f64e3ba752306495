import asyncio
import io
import json
from collections.abc import AsyncIterator, Collection

import aiohttp
import pytest

from common import wire
from common.wire import Batch
from services.storage_rest.removals import RemovalPolicy
from services.storage_rest.service import MOST_FOLLOWERS
from services.storage_rest.stores.base import CacheView, Refusal, StoreUnavailable
from services.storage_rest.stores.local import MemoryStore
from tests.storage_rest.running import Running, document, original_location, present, running, upsert
from tests.waiting import PATIENCE, eventually


@pytest.fixture
async def storage() -> AsyncIterator[Running]:
    async with running() as server:
        yield server


def item(key: str = "a_1", body: bytes | None = None, **fields: str) -> dict[str, str]:
    return {"key": key, "type": "kserve", "body": (body or document(key)).decode(), **fields}


async def listing(storage: Running) -> wire.CacheListing:
    found = wire.parse_listing((await storage.ask("GET", "/list?detail=true")).body)
    assert found is not None
    return found


class TestBatch:
    async def test_tells_what_it_did(self, storage: Running) -> None:
        answer = await storage.batch(upserts=[item("a_1"), item("a_2")], complete=True)
        assert answer.status == 200
        told = answer.json()
        assert (told["changed"], told["unchanged"], told["removed"], told["problems"]) == (2, 0, 0, [])
        again = (await storage.batch(upserts=[item("a_1"), item("a_3")], removals=["a_2", "x_y"])).json()
        assert (again["changed"], again["unchanged"], again["removed"]) == (1, 1, 1)
        assert again["base"] == told["revision"] == wire.parse_applied(answer.body).revision

    async def test_one_bad_document_does_not_stop_the_others(self, storage: Running) -> None:
        answer = await storage.batch(
            upserts=[item("a_1", b'{"models":[]}'), item("a_2"), item("bad")], cards={"": "text"}
        )
        assert [(p["key"], p["status"]) for p in answer.json()["problems"]] == [("a_1", 400), ("bad", 400), ("", 400)]
        assert storage.service.stored.keys == ["a_2"]
        told = (await storage.ask("GET", "/list?detail=true")).json()
        assert {p["key"] for p in told["problems"]} == {"a_1", "bad", ""}
        assert storage.metric("rejected_total", reason="unusable") == 3

    async def test_a_refused_document_leaves_the_former_one(self, storage: Running) -> None:
        await storage.batch(upserts=[item("a_1")])
        await storage.batch(upserts=[item("a_1", b'{"models":null}')])
        assert present(storage.service.stored.entry("a_1")).body == document("a_1")
        await storage.batch(upserts=[item("a_1")])
        assert (await storage.ask("GET", "/list?detail=true")).json()["problems"] == []

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "not JSON"),
            (b"[]", "JSON object"),
            (b'{"upserts":{}}', "upserts must be a list"),
            (b'{"upserts":[{"key":"a_1","type":"other","body":"{}"}]}', "type must be one of kserve, kubeflow"),
            (b'{"upserts":[{"key":"a_1","type":"kserve"}]}', "body must be a string"),
            (b'{"removals":[1]}', "removals must be a list of strings"),
            (b'{"cards":{"c":1}}', "cards must be an object with strings as values"),
            (b'{"complete":"yes"}', "complete must be true or false"),
            (b'{"complete":true,"complete":false}', "occurs twice"),
            (b'{"upserts":[' + b"[" * 5000, "nested too deeply|not JSON"),
        ],
    )
    async def test_a_body_that_is_no_batch_is_refused_whole(self, storage: Running, body: bytes, words: str) -> None:
        answer = await storage.ask("POST", "/batch", data=body)
        assert answer.status == 400
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert any(word in answer.json()["detail"] for word in words.split("|"))
        assert not storage.service.stored.complete

    async def test_documents_are_served_as_they_came(self, storage: Running) -> None:
        body = b'{ "models" : [ {"name":"x", "description": "\xc3\xbc <script>"} ] }\n'
        await storage.batch(upserts=[item("a_1", body)])
        fetched = wire.parse_storage_body("a_1", (await storage.ask("GET", "/fetch?key=a_1")).body)
        assert fetched.body == body


class TestLimits:
    async def test_a_document_over_the_limit(self) -> None:
        async with running(document_limit=2000) as storage:
            large = document("x" * 2000)
            answer = await storage.batch(upserts=[item("a_1", large), item("a_2")])
            assert [(p["key"], p["status"]) for p in answer.json()["problems"]] == [("a_1", 413)]
            body = wire.encode_original_upsert(upsert(body=large))
            answer = await storage.ask("POST", "/upsert?key=a_1&type=kserve", data=body)
            assert answer.status == 413
            assert "more than 2000" in answer.json()["detail"]
            assert storage.metric("rejected_total", reason="too large") == 2

    async def test_a_card_over_the_limit_leaves_its_document(self) -> None:
        async with running(document_limit=2000) as storage:
            answer = await storage.batch(upserts=[item("a_1", modelCardKey="c")], cards={"c": "x" * 2001})
            assert [(p["key"], p["status"]) for p in answer.json()["problems"]] == [("c", 413)]
            assert storage.service.stored.keys == ["a_1"]

    async def test_a_body_over_the_limit(self, storage: Running) -> None:
        answer = await storage.ask("POST", "/batch", data=io.BytesIO(b" " * (16 * 1024 * 1024 + 1)))
        assert answer.status == 413
        assert answer.headers["Content-Type"].startswith("application/problem+json")

    async def test_too_many_keys(self, storage: Running) -> None:
        keys = json.dumps({"keys": [f"a_{n}" for n in range(100_001)]}).encode()
        assert (await storage.ask("POST", "/currentkeyset", data=io.BytesIO(keys))).status == 413


class TestUpsert:
    @pytest.mark.parametrize(
        ("query", "body", "words"),
        [
            ("", b"{}", "'key' is missing"),
            ("?key=", b"{}", "'key' is missing"),
            ("?key=ab&type=kserve", b"{}", "no '_'"),
            ("?key=..%2f.._x&type=kserve", b"{}", "letters"),
            ("?key=a_1%00&type=kserve", b"{}", "letters"),
            ("?key=a_%0d%0a&type=kserve", b"{}", "letters"),
            ("?key=" + "a_" * 3000, b"{}", "6000 characters"),
            ("?key=a_1&type=kserve", b"", "not JSON"),
            ("?key=a_1&type=kserve", b"{}", "body must be a string"),
            ("?key=a_1&type=kserve", b'{"body":"!"}', "not base64"),
            ("?key=a_1&type=kserve", b'{"body":"e30="}', "models must be a list"),
            ("?key=a_1", b'{"body":"e30="}', "type must be"),
            ("?key=a_1&type=x", b'{"body":"e30="}', "type must be"),
        ],
    )
    async def test_what_cannot_be_used_is_refused_with_the_fault(
        self, storage: Running, query: str, body: bytes, words: str
    ) -> None:
        answer = await storage.ask("POST", f"/upsert{query}", data=body)
        assert answer.status == 400
        assert words in answer.json()["detail"]
        assert storage.service.stored.keys == []


class TestCurrentKeySet:
    async def fill(self, storage: Running, count: int) -> list[str]:
        keys = [f"model_{n}" for n in range(count)]
        await storage.service.apply(Batch(upserts=tuple(upsert(key) for key in keys)))
        return keys

    async def test_keys_in_a_body_of_any_length(self, storage: Running) -> None:
        keys = await self.fill(storage, 2000)
        answer = await storage.ask("POST", "/currentkeyset", json={"keys": keys[:-3]})
        assert (answer.status, answer.body) == (200, b"")
        assert len(storage.service.stored.keys) == 1997

    async def test_an_empty_list_in_the_body_means_no_models(self) -> None:
        async with running(policy=RemovalPolicy(hold=0)) as storage:
            await self.fill(storage, 2)
            assert (await storage.ask("POST", "/currentkeyset", json={"keys": []})).status == 200
            assert storage.service.stored.keys == []

    async def test_without_any_key_parameter_it_means_no_models(self) -> None:
        async with running(policy=RemovalPolicy(hold=0)) as storage:
            await self.fill(storage, 2)
            assert (await storage.ask("POST", "/currentkeyset")).status == 200
            assert storage.service.stored.keys == []

    @pytest.mark.parametrize(
        "body", [b"[]", b"{}", b'{"keys":null}', b'{"Keys":[]}', b'{"keys":"a_1"}', b'{"keys":[null]}']
    )
    async def test_a_body_that_names_no_keys_removes_nothing(self, storage: Running, body: bytes) -> None:
        keys = await self.fill(storage, 2)
        assert (await storage.ask("POST", "/currentkeyset", data=body)).status == 400
        assert storage.service.stored.keys == keys

    async def test_many_at_once_stay_for_the_hold(self) -> None:
        now = 1_700_000_000.0
        async with running(clock=lambda: now) as storage:
            keys = await self.fill(storage, 10)
            for _ in range(2):  # however often it is said
                answer = await storage.ask("POST", "/currentkeyset", json={"keys": keys[:6]})
                assert (answer.status, answer.body, answer.headers["X-Connector-Held"]) == (200, b"", "4")
                assert storage.service.stored.keys == keys
                assert storage.metric("leaving", reason="not-in-keyset") == 4
            now += 1800
            await storage.ask("POST", "/currentkeyset", json={"keys": keys[:7]})
            assert storage.metric("leaving", reason="not-in-keyset") == 3
            await storage.ask("POST", "/currentkeyset", json={"keys": keys[:6]})
            now += 1799
            await storage.ask("POST", "/currentkeyset", json={"keys": keys[:6]})
            assert storage.service.stored.keys == keys
            now += 1
            answer = await storage.ask("POST", "/currentkeyset", json={"keys": keys[:6]})
            assert storage.service.stored.keys == keys[:7], "the one that was named in between waits for as long again"
            assert answer.headers["X-Connector-Held"] == "1"

    async def test_few_at_a_time_are_many_in_the_end(self, storage: Running) -> None:
        keys = await self.fill(storage, 10)
        await storage.ask("POST", "/currentkeyset", json={"keys": keys[:8]})
        assert storage.service.stored.keys == keys[:8], "two of ten go at once"
        await storage.ask("POST", "/currentkeyset", json={"keys": keys[:7]})
        assert storage.service.stored.keys == keys[:8], "a third one within the hour waits"

    async def test_those_that_left_long_ago_are_not_counted_any_more(self) -> None:
        now = 1_700_000_000.0
        async with running(clock=lambda: now) as storage:
            keys = await self.fill(storage, 10)
            await storage.ask("POST", "/currentkeyset", json={"keys": keys[:8]})
            now += RemovalPolicy().hold + 1
            await storage.ask("POST", "/currentkeyset", json={"keys": keys[:7]})
            assert storage.service.stored.keys == keys[:7]

    async def test_the_hold_can_be_off(self) -> None:
        async with running(policy=RemovalPolicy(hold=0)) as storage:
            await self.fill(storage, 10)
            await storage.ask("POST", "/currentkeyset")
            assert storage.service.stored.keys == []

    async def test_a_round_that_holds_nothing_confirms(self, storage: Running) -> None:
        keys = await self.fill(storage, 10)
        await storage.ask("POST", "/currentkeyset", json={"keys": keys[:5]})
        assert storage.service.stored.complete
        assert not storage.service.snapshot().confirmed
        await storage.ask("POST", "/currentkeyset", json={"keys": keys})
        assert storage.service.snapshot().confirmed

    async def test_a_document_refused_for_good_does_not_keep_the_cache_incomplete(self, storage: Running) -> None:
        await storage.batch(upserts=[item("a_1"), item("a_2", b'{"models":[]}')])
        await storage.ask("POST", "/currentkeyset?key=a_2")
        assert not storage.service.stored.complete, "nothing of what is named is there"
        await storage.ask("POST", "/currentkeyset?key=a_1,a_2")
        assert storage.service.stored.complete


class TestReading:
    async def test_listing(self, storage: Running) -> None:
        empty = await listing(storage)
        assert (empty.complete, empty.entries, empty.cards) == (False, {}, {})
        entry = upsert("a_1", source="registry:r", ref="registry:r:1:2", card_key="c", uri="/a/1/model-catalog.json")
        batch = wire.encode_batch(Batch(upserts=(entry,), cards={"c": "text"}, complete=True))
        await storage.ask("POST", "/batch", data=batch)
        full = await listing(storage)
        assert full.complete
        assert full.entries == {"a_1": entry.stored}
        assert full.cards == {"c": wire.card_digest("text")}
        assert full.revision == storage.service.stored.revision

    @pytest.mark.parametrize("path", ["/list", "/list?detail=true", "/snapshot"])
    async def test_not_modified(self, storage: Running, path: str) -> None:
        await storage.batch(upserts=[item()])
        tag = (await storage.ask("GET", path)).headers["ETag"]
        assert tag == f'"{storage.service.stored.revision}"'
        answer = await storage.ask("GET", path, headers={"If-None-Match": tag})
        assert (answer.status, answer.body) == (304, b"")
        await storage.batch(upserts=[item("a_2")])
        assert (await storage.ask("GET", path, headers={"If-None-Match": tag})).status == 200

    async def test_fetch(self, storage: Running) -> None:
        assert (await storage.ask("GET", "/fetch")).status == 400
        answer = await storage.ask("GET", "/fetch?key=a_1")
        assert answer.status == 404
        assert "a_1" in answer.json()["detail"]

    async def test_snapshot(self, storage: Running) -> None:
        entries = tuple(upsert(f"a_{n}", card_key="c") for n in range(500))
        await storage.service.apply(Batch(upserts=entries, cards={"c": "x\n" * 1000}, complete=True))
        answer = await storage.ask("GET", "/snapshot")
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        whole = wire.parse_snapshot(answer.body.splitlines())
        assert whole.upserts == entries
        assert whole.cards == {"c": "x\n" * 1000}
        assert (whole.revision, whole.complete) == (storage.service.stored.revision, True)

    @pytest.mark.parametrize("query", ["?detail=yes", "?detail="])
    async def test_bad_detail(self, storage: Running, query: str) -> None:
        assert (await storage.ask("GET", f"/list{query}")).status == 400


class TestChanges:
    async def poll(self, storage: Running, since: str, wait: float = 0) -> wire.Changes:
        answer = await storage.ask("GET", f"/changes?since={since}&wait={wait}")
        assert answer.status == 200
        return wire.parse_changes(answer.body)

    async def test_everything_since(self, storage: Running) -> None:
        since = storage.service.stored.revision
        await storage.batch(upserts=[item("a_1", modelCardKey="c"), item("a_2")], cards={"c": "text"})
        await storage.batch(removals={"a_2": "deleted"})
        changes = await self.poll(storage, since)
        assert [entry.key for entry in changes.upserts] == ["a_1"]
        assert (changes.removals, changes.cards, changes.revision) == (
            {"a_2": "deleted"},
            {"c": "text"},
            storage.service.stored.revision,
        )

    async def test_waits_for_news(self, storage: Running) -> None:
        polling = asyncio.create_task(self.poll(storage, storage.service.stored.revision, 30))
        await eventually(lambda: storage.service.stored.followed, what="polling")
        await storage.batch(upserts=[item()])
        assert [entry.key for entry in (await polling).upserts] == ["a_1"]

    async def test_nothing_new_is_an_answer_too(self, storage: Running) -> None:
        changes = await self.poll(storage, storage.service.stored.revision, 0.05)
        assert changes == wire.Changes(revision=storage.service.stored.revision, complete=False)

    async def test_becoming_complete_is_news(self, storage: Running) -> None:
        polling = asyncio.create_task(self.poll(storage, storage.service.stored.revision, 30))
        await eventually(lambda: storage.service.stored.followed, what="polling")
        await storage.batch(complete=True)
        assert (await polling).complete

    async def test_gone(self, storage: Running) -> None:
        answer = await storage.ask("GET", "/changes?since=0123456789ab-3")
        assert answer.status == 410
        assert "/snapshot" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "query", ["", "?since=", "?since=a-0&wait=61", "?since=a-0&wait=-1", "?since=a-0&wait=nan"]
    )
    async def test_bad_parameters(self, storage: Running, query: str) -> None:
        assert (await storage.ask("GET", f"/changes{query}")).status == 400

    async def test_the_end_of_the_service_lets_pollers_go(self) -> None:
        async with running() as storage:
            polling = asyncio.create_task(self.poll(storage, storage.service.stored.revision, 60))
            await eventually(lambda: storage.service.stored.followed, what="polling")
        changes = await asyncio.wait_for(polling, PATIENCE)
        assert changes.upserts == ()

    async def test_only_so_many_may_wait_at_a_time(self, storage: Running) -> None:
        before = storage.service.stored.revision
        await storage.batch(complete=True)
        path = f"/changes?since={storage.service.stored.revision}&wait=60"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            waiting = [asyncio.create_task(http.get(storage.url + path)) for _ in range(MOST_FOLLOWERS)]
            await eventually(lambda: storage.service.stored.followers.count == MOST_FOLLOWERS, what="all waiting")
            refused = await storage.ask("GET", path)
            assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
            assert (await self.poll(storage, before, 60)).complete, "who need not wait is not refused"
            await storage.batch(upserts=[item()])
            for answer in await asyncio.gather(*waiting):
                assert [entry.key for entry in wire.parse_changes(await answer.read()).upserts] == ["a_1"]

    async def test_a_follower_that_hangs_up_is_not_followed_for_ever(self, storage: Running) -> None:
        polling = asyncio.create_task(self.poll(storage, storage.service.stored.revision, 60))
        await eventually(lambda: storage.service.stored.followers._waiting == 1, what="polling")
        polling.cancel()
        await eventually(lambda: storage.service.stored.followers._waiting == 0, what="hung up")


class TestAccess:
    WRITES = ("/upsert?key=a_1&type=kserve", "/currentkeyset?key=a_1", "/batch")

    @pytest.mark.parametrize("path", WRITES)
    async def test_writes_need_the_token_from_this_host_too(self, storage: Running, path: str) -> None:
        await storage.batch(upserts=[item()])
        for token, status in ((None, 401), ("wrong", 403), ("sesam", 403), ("sesame ü", 403)):
            answer = await storage.ask("POST", path, token=token, data=b'{"removals":["a_1"]}')
            assert answer.status == status
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert "sesame" not in answer.body.decode()
        assert storage.service.stored.keys == ["a_1"]

    @pytest.mark.parametrize("path", ["/list", "/snapshot", "/openapi.json", "/healthz", "/readyz", "/metrics"])
    async def test_reads_from_this_host_need_none(self, storage: Running, path: str) -> None:
        assert (await storage.ask("GET", path, token=None)).status == 200

    async def test_the_token_is_asked_for_before_the_body_is_read(self, storage: Running) -> None:
        head = b"POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
        assert (await storage.send(head)).status == 401


class Unreachable(MemoryStore):
    """A store that is away."""

    loads = True

    async def run(self, view: CacheView) -> None:
        if self.loads:
            await super().run(view)

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        raise StoreUnavailable("the API server is away", retry_after=7)


class TestStoreAway:
    async def test_writes_are_accepted_told_and_answered_503(self) -> None:
        async with original_location() as location, running(Unreachable(), bridge=location.url) as storage:
            for answer in (
                await storage.batch(upserts=[item()]),
                await storage.ask(
                    "POST", "/upsert?key=a_2&type=kserve", data=wire.encode_original_upsert(upsert("a_2"))
                ),
            ):
                assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
                assert "the API server is away" in answer.json()["detail"]
            assert storage.service.stored.keys == ["a_1", "a_2"]
            await eventually(lambda: set(location.documents) == {"a_1", "a_2"}, what="told")

    async def test_nothing_is_served_or_accepted_before_it_is_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("services.storage_rest.stored.LOADING_WAIT", 0.05)
        store = Unreachable()
        store.loads = False
        async with running(store) as storage:
            for method, path in (
                ("GET", "/list"),
                ("GET", "/list?detail=true"),
                ("GET", "/fetch?key=a_1"),
                ("GET", "/snapshot"),
                ("GET", "/changes?since=a-1"),
                ("POST", "/batch"),
                ("POST", "/currentkeyset"),
            ):
                answer = await storage.ask(method, path, data=b"{}" if path == "/batch" else None)
                assert (answer.status, "Retry-After" in answer.headers) == (503, True), path
                assert "not loaded" in answer.json()["detail"]
            assert (await storage.ask("GET", "/readyz")).status == 503
            assert (await storage.ask("GET", "/healthz")).status == 200


async def test_ready_once_loaded(storage: Running) -> None:
    answer = await storage.ask("GET", "/readyz")
    assert (answer.status, {c["name"] for c in answer.json()["conditions"]}) == (200, {"cache", "store"})


async def test_unknown_paths_and_methods_are_problems(storage: Running) -> None:
    assert (await storage.ask("GET", "/nothing")).status == 404
    answer = await storage.ask("GET", "/batch")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert json.loads(answer.body)["status"] == 405


async def test_metrics_count_what_is_stored(storage: Running) -> None:
    await storage.batch(upserts=[item("a_1", modelCardKey="c"), item("a_2")], cards={"c": "text"}, complete=True)
    assert (storage.metric("documents"), storage.metric("cards"), storage.metric("complete")) == (2, 1, 1)
    assert b"rhoai_connector_storage_documents 2.0" in (await storage.ask("GET", "/metrics")).body
