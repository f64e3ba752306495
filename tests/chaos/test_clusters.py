"""Two random schedules of several clusters, the same ones each time; `make chaos` runs more."""

from pathlib import Path

import pytest

from services.normalizer import clusters_file, controller, sink
from tests.chaos.clusters import run_seed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 3])
async def test_nothing_leaves_that_is_still_there(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters_file, "LOOK", clusters_file.LOOK)  # put back at the end
    monkeypatch.setattr(sink, "SLOW", sink.SLOW)
    monkeypatch.setattr(controller, "SETTLE", controller.SETTLE)
    harm, schedule = await run_seed(seed, tmp_path)
    assert not harm, f"{harm}: {schedule}"
