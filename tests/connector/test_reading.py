"""What a preview reads in several processes is what it reads in one."""

import pickle
import random
import shutil
from pathlib import Path

import pytest
import yaml

from services.connector import reading, reports
from services.connector.preview import Preview, preview
from services.connector.reading import Reading
from services.normalizer.normalize.result import Defaults
from tests import objects

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
ROOT = Path(__file__).parents[2]
SIGNS = b" \n\t:-{}[]'\"#&*!|>%@`ab\xff"
GIVEN = [ROOT / "examples", ROOT / "tests", ROOT / "deploy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All manifests of the project, and more that were damaged in some way; with kustomizations and duplicates."""
    folder = tmp_path_factory.mktemp("manifests")
    for given in GIVEN:
        for path in (*given.rglob("*.yaml"), *given.rglob("*.json")):
            if "node_modules" not in path.parts:
                copy = folder / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
    chance = random.Random(21)  # noqa: S311 - always the same
    whole = yaml.safe_dump_all([objects.isvc("whole"), objects.llm_isvc("chat")]).encode()
    for number in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(30)] = bytes(
                chance.choices(b" \n\t:-{}[]'\"#&*!|>%@`ab\xff", k=chance.randrange(6))
            )
        (folder / f"damaged{number}.yaml").write_bytes(damaged)
    overlay = {"namespace": "prod", "resources": ["damaged1.yaml"], "patches": [{"path": "damaged2.yaml"}]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return folder


def previewed(folder: Path, processes: int, monkeypatch: pytest.MonkeyPatch) -> tuple[reading.Files, Preview]:
    monkeypatch.setattr(reading, "processes_for", lambda _items, *, worth: processes)
    with Reading([folder]) as begun:
        files = begun.files()
    return files, preview(files, defaults=Defaults(), connections=True)


def test_several_processes_read_what_one_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, expected = previewed(folder, 1, monkeypatch)
    several, result = previewed(folder, 3, monkeypatch)
    assert len(one.facts) > 400
    assert len(expected.shown) > 20
    assert len({each.problem.id for each in expected.noticed}) > 10
    assert list(several.facts.items()) == list(one.facts.items())
    assert several.overlay == one.overlay
    for output in reports.FORMATS.values():
        assert output(result, None) == output(expected, None)


def test_all_facts_can_be_sent_between_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, _ = previewed(folder, 1, monkeypatch)
    assert pickle.loads(pickle.dumps(files.facts)) == files.facts  # noqa: S301 - our own


@pytest.mark.parametrize("processes", [1, 3])
def test_the_progress_counts_each_file_once(processes: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "processes_for", lambda _items, *, worth: processes)
    shown: list[tuple[int, int]] = []
    with Reading([folder]) as begun:
        files = begun.files(lambda done, of: shown.append((done, of)))
    number = len(files.facts)
    assert shown == [(done, number) for done in range(shown[0][0], number)]
