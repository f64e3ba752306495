"""The API server goes away, forgets, lies, refuses; what is served stays, and catches up without a restart."""

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.conftest import TOKEN, USER, own_rules
from tests.process.pod import LOCATION, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

MODELS = ("iris", "wine", "oak")
URIS = tuple(map(isvc_uri, MODELS))
NEW = isvc_uri("new")
SOURCE = "kserve"
LISTS = "inferenceservices"


@pytest.fixture
async def running(pod: Pod, cluster: ProcessCluster, reader: Reader) -> Pod:
    """The pod with three models that are served."""
    await cluster.apply_all(map(isvc, MODELS))
    await pod.start()
    await pod.serving(*URIS)
    reader.expect(*URIS)
    return pod


async def changed_meanwhile(cluster: ProcessCluster, reader: Reader) -> None:
    """One model less and one more, while no one is told."""
    reader.release(URIS[0])
    await cluster.delete("InferenceService", "models", MODELS[0])
    await cluster.apply(isvc("new"))


@pytest.mark.parametrize("lose_history", [False, True], ids=["history kept", "history lost"])
async def test_it_restarts(running: Pod, cluster: ProcessCluster, reader: Reader, lose_history: bool) -> None:
    await cluster.go_down()
    await changed_meanwhile(cluster, reader)
    if lose_history:
        await cluster.compact()
    await reader.round()
    await running.serving(*URIS)
    await cluster.come_back()

    await running.serving(*URIS[1:], NEW)
    await running.ready(NORMALIZER, STORAGE, LOCATION)


async def test_it_is_away_when_the_pod_starts(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.apply_all(map(isvc, MODELS))
    await cluster.go_down()
    await pod.start(ready=False)
    await pod.alive(STORAGE, LOCATION, NORMALIZER)

    async def says_so() -> bool:
        return "API server" in str(await pod.failing(STORAGE)) and "API server" in str(await pod.failing(NORMALIZER))

    await eventually(says_so, what="storage and normalizer say that the API server does not answer")
    assert (await pod.get(LOCATION, "/list")).status == 503

    await cluster.come_back()
    await pod.serving(*URIS)
    await pod.ready()


async def test_it_is_away_when_the_normalizer_starts(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await running.kill(NORMALIZER)
    await cluster.go_down()
    await changed_meanwhile(cluster, reader)
    await running.start(NORMALIZER, ready=False)
    await running.alive(NORMALIZER)

    async def says_so() -> bool:
        return "API server" in str(await running.failing(NORMALIZER))

    await eventually(says_so, what="the normalizer says that the API server does not answer")
    await reader.round()
    await running.serving(*URIS)

    await cluster.come_back()
    await running.serving(*URIS[1:], NEW)


async def disturb_all(cluster: ProcessCluster, order: str) -> None:
    """Let every watch end so, once every collection is watched."""

    async def watched() -> bool:
        return all([await cluster.watches(plural) for plural in (LISTS, "services", "serviceaccounts", "configmaps")])

    await eventually(watched, what="every collection is watched")
    await cluster.disturb_watches(order)


@pytest.mark.parametrize("order", ["close", "gone", "error", "garbage"])
async def test_watches_end_badly(running: Pod, cluster: ProcessCluster, reader: Reader, order: str) -> None:
    for number in range(3):
        await disturb_all(cluster, order)
        await cluster.apply(isvc(f"new-{number}"))
        await running.serving(*URIS, *(isvc_uri(f"new-{n}") for n in range(number + 1)))

    reader.release(URIS[0])
    await cluster.disturb_watches(order)
    await cluster.delete("InferenceService", "models", MODELS[0])
    await running.serving(*URIS[1:], *(isvc_uri(f"new-{n}") for n in range(3)))


async def test_history_is_compacted_again_and_again(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    for number in range(5):
        await cluster.apply(isvc(f"new-{number}"))
        await cluster.compact()
        await cluster.disturb_watches("close")
    await changed_meanwhile(cluster, reader)

    await running.serving(*URIS[1:], NEW, *(isvc_uri(f"new-{n}") for n in range(5)))


async def test_lists_and_watches_fail_for_a_while(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    faults = [
        await cluster.fault("status", resource=LISTS, times=2, status=500, body="<html>sorry</html>"),
        await cluster.fault("status", resource=LISTS, times=1, status=200, body="<html>log in</html>"),
        await cluster.fault("status", resource=LISTS, times=1, status=429, retry_after=1),
        await cluster.fault("truncate", resource=LISTS, verb="list", times=1),
        await cluster.fault("drop", resource=LISTS, times=1),
    ]
    await cluster.compact()
    await cluster.disturb_watches("gone", LISTS)
    await changed_meanwhile(cluster, reader)

    await running.serving(*URIS[1:], NEW)
    assert [await fault.hits() for fault in faults] == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("resources", [["routes"]])
async def test_kserve_is_installed_later(pod: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await pod.start(ready=False)
    await pod.serving()
    assert "KServe" in (await pod.failing(NORMALIZER))[SOURCE]

    await cluster.install(LISTS)
    await cluster.apply(isvc("iris"))
    await pod.serving(URIS[0])
    await pod.ready()


async def test_rights_are_taken_and_given_back(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await running.kill(NORMALIZER, STORAGE)
    await cluster.grant(TOKEN, USER, [])
    await running.start(NORMALIZER, STORAGE, ready=False)
    await running.alive(NORMALIZER, STORAGE)

    async def both_name_the_right() -> bool:
        reasons = str(await running.failing(STORAGE)), (await running.failing(NORMALIZER))[SOURCE]
        for reason, resource in zip(reasons, ("configmaps", "inferenceservices"), strict=True):
            assert "rhdh-rhoai-connector" in reason
            assert "lacks a rule" in reason
            assert resource in reason
        return True

    await eventually(both_name_the_right, what="both name what they may not, and the role that should permit it")
    await changed_meanwhile(cluster, reader)
    await reader.round()
    await running.serving(*URIS)

    await cluster.grant(TOKEN, USER, own_rules())
    await running.serving(*URIS[1:], NEW)
    await running.ready()


async def test_the_token_is_revoked(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await cluster.revoke(TOKEN)
    await running.restart_unready(NORMALIZER, STORAGE)

    async def both_say_so() -> bool:
        remedy = "Secret rhdh-rhoai-connector-token"
        return remedy in str(await running.failing(STORAGE)) and remedy in str(await running.failing(NORMALIZER))

    await eventually(both_say_so, what="both say which Secret to look at")
    await reader.round()
    await running.serving(*URIS)


@pytest.mark.timeout(300)
async def test_a_connection_that_is_dead_without_a_word(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    assert await cluster.disturb_watches("silent", LISTS) == 1
    await changed_meanwhile(cluster, reader)

    await running.serving(*URIS[1:], NEW, timeout=150)
