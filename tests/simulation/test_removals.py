"""Models that are in doubt stay for as long as is promised, and no longer."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from common import LOCATION, NORMALIZER, STORAGE, removals
from common.removals import HOLD
from services.normalizer.settings import NormalizerSettings
from tests.objects import isvc
from tests.simulation.loop import simulated
from tests.simulation.pod import CONNECTOR_RUN, SERVICES
from tests.simulation.world import DEPLOYED, EVERYTHING, MINUTE, REGISTERED, now, uris, world

GRACE = NormalizerSettings.model_fields["not_ready_grace"].default


@pytest.mark.parametrize("programs", [SERVICES, CONNECTOR_RUN], ids=["pod", "connector run"])
@simulated
async def test_models_that_a_list_lacks_stay_for_the_hold_and_leave_when_it_ends(
    programs: Mapping[str, Sequence[str]],
) -> None:
    async with world(programs=programs) as it:
        with capture_logs() as logs:
            await it.lose(*DEPLOYED[1:])
            due = now() + HOLD
            await it.still_serves(EVERYTHING, until=due - 10)
            [doubt] = [line for line in logs if line["event"] == "removals_held"]
            await it.serves(uris(DEPLOYED[0]) | REGISTERED, within=MINUTE)
            assert due <= now() < due + 5

    assert (doubt["entries"], doubt["source"]) == (7, "kserve")
    assert "connector removals confirm" in doubt["remedy"]
    assert {line["reason"] for line in logs if line["event"] == "entry_removed"} == {removals.NOT_LISTED}


@pytest.mark.parametrize("name", [NORMALIZER, STORAGE, LOCATION])
@simulated
async def test_the_restart_of_a_service_neither_shortens_nor_prolongs_a_hold(name: str) -> None:
    async with world() as it:
        await it.lose(*DEPLOYED[1:])
        due = now() + HOLD
        await it.still_serves(EVERYTHING, until=due - HOLD / 2)
        await it.pod.processes[name].stop()
        await asyncio.sleep(5)
        await it.pod.processes[name].start()
        await it.serves(EVERYTHING, within=MINUTE)
        await it.still_serves(EVERYTHING, until=due - 10)
        await it.serves(uris(DEPLOYED[0]) | REGISTERED, within=MINUTE)
        assert due <= now() < due + 5


@simulated
async def test_a_model_that_is_not_ready_leaves_after_its_grace_and_comes_back() -> None:
    async with world() as it:
        it.cluster.apply(isvc(DEPLOYED[0], ready=False))
        due = now() + GRACE
        await it.still_serves(EVERYTHING, until=due - 10)
        await it.serves(EVERYTHING - uris(DEPLOYED[0]), within=MINUTE)
        assert due <= now() < due + 5
        it.cluster.apply(isvc(DEPLOYED[0]))
        await it.serves(EVERYTHING, within=5)


@simulated
async def test_models_of_which_many_are_not_ready_at_once_stay_for_the_hold() -> None:
    async with world() as it:
        for name in DEPLOYED[:3]:
            it.cluster.apply(isvc(name, ready=False))
        due = now() + HOLD
        await it.still_serves(EVERYTHING, until=due - 10)
        await it.serves(EVERYTHING - uris(*DEPLOYED[:3]), within=HOLD)
        assert due <= now() < due + 5
