"""Thousands of documents, in ConfigMaps far under their limit, through every crash."""

import asyncio
import random

import pytest

from common.wire import encode_storage_body
from tests.fakes.kubernetes import MEASURED, ProcessCluster
from tests.location.samples import shows
from tests.process.pod import LOCATION, NAMESPACE, STORAGE, Pod
from tests.process.reader import Reader
from tests.process.sender import Sender, card, entry
from tests.waiting import eventually

BUDGET = 122_880


def model_key(number: int) -> str:
    """The key of one of many models; some contain what separates its parts."""
    return f"team-{number % 7}_model_{number:05}"


def fill(sender: Sender, *, documents: int, cards: int) -> None:
    """Have the sender want so many documents, the first of them with a card."""
    for number in range(documents):
        card_key = f"card-{number}" if number < cards else ""
        sender.entries[model_key(number)] = entry(model_key(number), card_key=card_key)
        if card_key:
            sender.cards[card_key] = card(card_key, 0)


def uris(sender: Sender) -> list[str]:
    return sorted(e.uri for e in sender.entries.values())


async def served(pod: Pod, sender: Sender) -> None:
    """Wait until the feed is what the sender wants, with all that each document says."""

    async def listed() -> bool:
        return await pod.uris() == uris(sender)

    await eventually(listed, what="the list")
    for wanted in sender.entries.values():

        async def same(uri: str = wanted.uri, body: bytes = wanted.body) -> bool:
            answer = await pod.get(LOCATION, uri)
            return answer.status == 200 and shows(answer.body, body)

        await eventually(same, what=wanted.uri)
    for key, text in sender.cards.items():

        async def same_card(key: str = key, text: str = text) -> bool:
            return (await pod.get(LOCATION, f"/modelcard?key={key}&raw=true")).body.decode() == text

        await eventually(same_card, what=f"card {key}")


async def test_five_thousand_documents_and_five_hundred_cards(pod: Pod, cluster: ProcessCluster) -> None:
    sender = Sender(pod)
    fill(sender, documents=5000, cards=500)
    await pod.start(STORAGE, LOCATION, ready=False)
    await pod.alive(STORAGE, LOCATION)
    async with Reader(pod[LOCATION].url, sample=5) as reader:
        await sender.sync()
        await served(pod, sender)

        shards = await pod.configmaps()
        assert len(shards) > 100
        assert max(sum(map(len, shard["binaryData"].values())) * 3 // 4 for shard in shards) <= BUDGET

        await cluster.reset_counts()
        new = entry("team-x_one-more")
        sender.entries[new.key] = new
        await sender.sync()
        await served(pod, sender)
        counts = await cluster.counts()
        assert counts.of("patch") == 1, "of its ConfigMap, or of the first one, which names a new one"
        assert counts.of("create") <= 1, "a new ConfigMap, if all are full"
        assert counts.of("update") == 0
        assert counts.request_bytes < 2 * len(encode_storage_body(new))

        await pod.kill(STORAGE, LOCATION)
        await pod.start(STORAGE, LOCATION)
        await sender.sync()
        await served(pod, sender)
        await reader.round()
    assert not sender.lost


@pytest.mark.parametrize("seed", [1])
async def test_fifty_kills_lose_nothing_that_was_acknowledged(pod: Pod, cluster: ProcessCluster, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no cryptography
    await cluster.set_latency(MEASURED)
    sender = Sender(pod)
    fill(sender, documents=500, cards=50)
    await pod.start(STORAGE, LOCATION, ready=False)
    await sender.sync()
    await served(pod, sender)
    async with Reader(pod[LOCATION].url, sample=5) as reader:
        reader.expect(*uris(sender))
        kills = [asyncio.create_task(kill_often(pod, name, dice, times=25)) for name in (STORAGE, LOCATION)]
        edition = 0
        while not all(task.done() for task in kills):
            edition += 1
            new = change(sender, dice, edition)
            reader.release(*new)  # if both services die, what was told and not acknowledged may vanish for a moment
            await sender.sync()
            reader.watch_for(*new)
        for task in kills:
            task.result()
        await pod.ready(STORAGE, LOCATION)
        await sender.sync()
        await served(pod, sender)
        await reader.round()
    assert not sender.lost, sender.lost[:5]
    assert sender.acknowledged >= 5, "there was hardly anything to lose"
    found = [key for shard in await cluster.objects("ConfigMap", NAMESPACE) for key in shard.get("binaryData", {})]
    assert sorted(key for key in found if key in sender.entries) == sorted(sender.entries)


def change(sender: Sender, dice: random.Random, edition: int) -> list[str]:
    """Let some documents and a card become others, and some documents be new; return the URIs of these."""
    for key in dice.sample(sorted(sender.entries), 20):
        sender.entries[key] = entry(key, edition, card_key=sender.entries[key].card_key)
    key = dice.choice(sorted(sender.cards))
    sender.cards[key] = card(key, edition)
    new = [entry(f"new_{edition}-{number}") for number in range(3)]
    sender.entries.update((each.key, each) for each in new)
    return [each.uri for each in new]


async def kill_often(pod: Pod, name: str, dice: random.Random, *, times: int) -> None:
    """Kill a service again and again: often at work, now and then while it starts."""
    for _ in range(times):
        if dice.random() < 0.8:
            await pod.alive(name)
        await asyncio.sleep(dice.uniform(0, 0.4))
        await pod.kill(name)
        await pod.start(name, ready=False)
