"""Sending storage what differs: ours, and one that knows only the original's requests."""

import asyncio
from collections.abc import Mapping

import pytest

from common.http.client import HttpClient
from common.wire import Awaited, Leaving, Upsert, card_digest
from services.normalizer.cards import Card
from services.normalizer.plan import Plan
from services.normalizer.publish import BATCH_BYTES, PARALLEL, Mirror, Storage
from services.normalizer.remote_storage import RemoteStorage
from tests.fakes.original_storage import original_storage
from tests.normalizer.memory_storage import MemoryStorage
from tests.waiting import eventually


def groups(*upserts: Upsert) -> tuple[tuple[Upsert, ...], ...]:
    """Each document by itself."""
    return tuple((each,) for each in upserts)


def removed(*keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, "deleted")


def upsert(key: str, *, body: bytes = b'{"models":[{"name":"m"}]}', card_key: str = "", ref: str = "") -> Upsert:
    return Upsert(key=key, body=body, reconciler="kserve", source="kserve", ref=ref or f"ref:{key}", card_key=card_key)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


async def mirror_of(storage: Storage) -> Mirror:
    mirror = Mirror(storage)
    await mirror.refresh()
    return mirror


async def send(
    mirror: Mirror, plan: Plan, *, cards: Mapping[str, str] | None = None, complete: bool = False
) -> dict[str, str]:
    """Send a plan batch by batch, as long as there is something to send."""
    refused: dict[str, str] = {}
    for batch in mirror.begin(plan, cards=cards or {}, complete=complete):
        refused |= await mirror.deliver(batch)
    return refused


async def test_the_mirror_follows_what_was_sent_without_asking_again(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    await send(mirror, Plan(upserts=groups(upsert("a_b"))), cards={"c": "# t"}, complete=True)
    await send(mirror, Plan(upserts=groups(upsert("a_c")), removals=removed("a_b")))
    await mirror.refresh()
    assert storage.listings == 1
    assert (mirror.entries, mirror.cards, mirror.complete) == (storage.entries, storage.cards, True)


async def test_what_is_waited_for_is_reported_once_and_again_to_another_process_of_storage(
    storage: MemoryStorage,
) -> None:
    mirror = await mirror_of(storage)
    awaited = (Awaited(source="registry:r", reason="unreachable"),)
    for _ in range(2):
        for batch in mirror.begin(Plan(), cards={}, awaited=awaited):
            await mirror.deliver(batch)
    assert [batch.awaited for batch in storage.batches] == [awaited]
    storage.awaited = ()
    storage.touch()
    await mirror.refresh()
    for batch in mirror.begin(Plan(upserts=groups(upsert("a_b"))), cards={}, awaited=awaited, complete=True):
        await mirror.deliver(batch)
    assert [batch.awaited for batch in storage.batches] == [awaited, awaited]
    assert (storage.complete, list(storage.entries)) == (True, ["a_b"])


async def test_a_storage_that_does_not_pass_it_on_is_not_told_what_is_waited_for(storage: MemoryStorage) -> None:
    storage.awaited = None
    mirror = await mirror_of(storage)
    assert mirror.begin(Plan(), cards={}, awaited=(Awaited(source="kserve"),)) == []


async def test_answers_in_another_order_do_not_confuse_it(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    first, second = (
        mirror.begin(Plan(upserts=groups(upsert(key))), cards={}, complete=False)[0] for key in ("a_b", "a_c")
    )
    storage.hold.append(first)
    late = asyncio.create_task(mirror.deliver(first))
    await eventually(lambda: first in storage.batches)
    await mirror.deliver(second)
    storage.answer_now()
    await late
    await mirror.refresh()
    assert storage.listings == 1
    assert mirror.entries == storage.entries


async def test_a_change_by_someone_else_in_between_is_noticed(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    storage.entries["x_y"] = upsert("x_y").stored
    storage.touch()
    await send(mirror, Plan(upserts=groups(upsert("a_b"))))
    await mirror.refresh()
    assert set(mirror.entries) == {"a_b", "x_y"}


async def test_after_an_error_nothing_is_taken_for_granted(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    storage.failing = True
    with pytest.raises(ConnectionError):
        await send(mirror, Plan(upserts=groups(upsert("a_b"))))
    assert not mirror.known
    storage.failing = False
    await mirror.refresh()
    assert mirror.known
    assert mirror.entries == {}


async def test_what_is_under_way_is_not_sent_again_and_the_rest_is(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    [first] = mirror.begin(Plan(upserts=groups(upsert("a_b"))), cards={"c": "# t"}, complete=False)
    changed = upsert("a_b", body=b'{"models":[{"name":"other"}]}')
    plan = Plan(upserts=groups(changed, upsert("a_c")))
    [second] = mirror.begin(plan, cards={"c": "# t"}, complete=True)
    assert [u.key for u in second.upserts] == ["a_c"]
    assert not second.cards
    assert not second.complete
    await mirror.deliver(first)
    await mirror.deliver(second)
    [third] = mirror.begin(Plan(upserts=groups(changed)), cards={}, complete=True)
    assert third.complete


async def test_batches_have_a_bounded_size_and_only_some_go_at_a_time(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    large = b'{"models":[' + b" " * (BATCH_BYTES // 2) + b"]}"
    plan = Plan(upserts=groups(*(upsert(f"a_{i}", body=large) for i in range(2 * PARALLEL + 3))))
    batches = mirror.begin(plan, cards={}, complete=True)
    assert [len(batch.upserts) for batch in batches] == [2] * PARALLEL
    assert not any(batch.complete for batch in batches)
    assert not mirror.begin(Plan(upserts=plan.upserts[2 * PARALLEL :]), cards={}, complete=True)
    await asyncio.gather(*map(mirror.deliver, batches))
    assert len(mirror.begin(Plan(upserts=plan.upserts[2 * PARALLEL :]), cards={}, complete=True)) == 2


async def test_a_group_goes_in_one_batch_whatever_its_size(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    large = b'{"models":[' + b" " * BATCH_BYTES + b"]}"
    group = (upsert("giver_1", body=large), upsert("taker_1", body=large))
    first, second = mirror.begin(Plan(upserts=(group, *groups(upsert("other_1")))), cards={})
    assert (first.upserts, [u.key for u in second.upserts]) == (group, ["other_1"])


async def test_reasons_and_marks_travel_with_what_they_are_about(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    await send(mirror, Plan(upserts=groups(upsert("a_b"), upsert("a_c"))))
    mark = Leaving(since=1, reason="not-listed")
    [batch] = mirror.begin(Plan(removals=removed("a_b"), marks={"a_c": mark}), cards={})
    assert (batch.removals, batch.leaving) == ({"a_b": "deleted"}, {"a_c": mark})
    assert mirror.busy == {"a_b", "a_c"}
    await mirror.deliver(batch)
    assert mirror.entries == storage.entries
    assert mirror.entries["a_c"].leaving == mark


async def test_a_card_travels_with_the_document_that_shows_it(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    card = "x" * BATCH_BYTES
    plan = Plan(upserts=groups(upsert("a_1", card_key="c"), upsert("a_2", card_key="c"), upsert("a_3")))
    await send(mirror, plan, cards={"c": card, "other": "y"})
    assert [set(batch.cards) for batch in storage.batches] == [{"c"}, {"other"}]
    assert [u.key for u in storage.batches[0].upserts] == ["a_1"]


async def test_a_card_that_no_one_shows_any_more_is_sent_again_when_someone_does(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    cards = {"c": Card.of("# t")}
    await send(
        mirror, Plan(upserts=groups(upsert("a_1", card_key="c"), upsert("a_2", card_key="c"))), cards={"c": "# t"}
    )
    await send(mirror, Plan(removals=removed("a_1")))
    assert mirror.missing_cards(cards) == {}
    await send(mirror, Plan(upserts=groups(upsert("a_2"))))
    assert mirror.missing_cards(cards) == {"c": "# t"}


async def test_what_storage_refused_is_known_until_it_takes_another(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    storage.refuse = {"a_b": "too large"}
    assert await send(mirror, Plan(upserts=groups(upsert("a_b")))) == {"a_b": "too large"}
    assert mirror.refused == {"a_b": upsert("a_b").digest}
    assert "a_b" not in mirror.entries
    storage.refuse = {}
    await send(mirror, Plan(upserts=groups(upsert("a_b", body=b'{"models":[{"name":"smaller"}]}'))))
    assert not mirror.refused


async def test_what_storage_refuses_in_a_new_form_it_has_in_the_old_one(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    await send(mirror, Plan(upserts=groups(upsert("a_b"))))
    storage.refuse = {"a_b": "too large"}
    await send(mirror, Plan(upserts=groups(upsert("a_b", body=b'{"models":[{"name":"larger"}]}'))))
    assert mirror.entries == storage.entries == {"a_b": upsert("a_b").stored}


async def test_a_confirmation_goes_with_the_last_batch(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    [batch] = mirror.begin(Plan(upserts=groups(upsert("a_b"))), cards={}, confirmed=True)
    assert batch.confirmed
    assert not mirror.begin(Plan(), cards={}, confirmed=True)  # one is under way
    await mirror.deliver(batch)
    assert mirror.confirmed


async def test_what_is_awaited_is_never_sent_while_an_older_answer_to_that_is_under_way(storage: MemoryStorage) -> None:
    mirror = await mirror_of(storage)
    both, one = (Awaited(source="kserve"), Awaited(source="registry:r")), (Awaited(source="registry:r"),)
    [first] = mirror.begin(Plan(), cards={}, awaited=both)
    [second] = mirror.begin(Plan(upserts=groups(upsert("a_b"))), cards={}, awaited=one)
    assert second.awaited is None  # it might arrive before the first
    await mirror.deliver(second)
    assert mirror.begin(Plan(), cards={}, awaited=one) == []
    await mirror.deliver(first)
    [third] = mirror.begin(Plan(), cards={}, awaited=one)
    await mirror.deliver(third)
    assert storage.awaited == one


async def test_only_cards_that_storage_does_not_have_are_missing(storage: MemoryStorage) -> None:
    storage.cards = {"same": card_digest("t"), "old": card_digest("1")}
    mirror = await mirror_of(storage)
    cards = {"same": Card.of("t"), "old": Card.of("2"), "new": Card.of("n")}
    assert mirror.missing_cards(cards) == {"old": "2", "new": "n"}


async def test_a_storage_that_knows_only_the_originals_requests_is_kept_up_to_date_with_them() -> None:
    async with original_storage() as (original, url), HttpClient(name="storage", base_url=url) as client:
        mirror = Mirror(RemoteStorage(client))
        await mirror.refresh()
        assert mirror.entries == {}
        plan = Plan(upserts=groups(upsert("a_b", card_key="c"), upsert("a_c")))
        await send(mirror, plan, cards={"c": "# card"}, complete=True)
        assert set(original.documents) == {"a_b", "a_c"}
        assert original.cards == {"c": "# card"}
        await send(mirror, Plan(removals=removed("a_b")))
        assert set(original.documents) == {"a_c"}
        assert original.requests[-1] == "POST /currentkeyset?key=a_c"
        await mirror.refresh()
        assert mirror.entries == {"a_c": plan.upserts[1][0].stored}
        restarted = await mirror_of(RemoteStorage(client))
        assert set(restarted.entries) == {"a_c"}


async def test_what_the_original_refuses_does_not_stop_the_rest() -> None:
    async with original_storage() as (original, url), HttpClient(name="storage", base_url=url) as client:
        original.refuse = {"a_b"}
        mirror = Mirror(RemoteStorage(client))
        await mirror.refresh()
        refused = await send(mirror, Plan(upserts=groups(upsert("a_b"), upsert("a_c"))))
        assert refused == {"a_b": "no"}
        assert set(original.documents) == {"a_c"}
