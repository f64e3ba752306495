"""What a preview reads in several processes is what it reads in one."""

import pickle
import random
import shutil
from pathlib import Path

import pytest
import yaml

from services.connector import reading, reports
from services.connector.preview import Preview, preview
from services.connector.reading import Progress, Reading, no_progress
from services.normalizer.normalize.result import Defaults
from services.normalizer.sources.manifest_objects import FileFacts
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


def read(folder: Path, processes: int, monkeypatch: pytest.MonkeyPatch, progress: Progress) -> dict[Path, FileFacts]:
    monkeypatch.setattr(reading, "processes_for", lambda _items, *, worth: processes)
    with Reading([folder]) as files:
        return {path: facts for part in files.parts(progress) for path, facts in part.items()}


def previewed(folder: Path, processes: int, monkeypatch: pytest.MonkeyPatch) -> Preview:
    monkeypatch.setattr(reading, "processes_for", lambda _items, *, worth: processes)
    with Reading([folder]) as files:
        return preview(files, defaults=Defaults(), connections=True)


def test_several_processes_read_what_one_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = (read(folder, processes, monkeypatch, no_progress) for processes in (1, 3))
    assert len(one) > 400
    assert list(several.items()) == list(one.items())
    expected, result = (previewed(folder, processes, monkeypatch) for processes in (1, 3))
    assert len(expected.shown) > 20
    assert len({each.problem.id for each in expected.noticed}) > 10
    for output in reports.FORMATS.values():
        assert output(result, None) == output(expected, None)


def test_names_do_not_depend_on_which_file_is_read_first(tmp_path: Path) -> None:
    """Pairs of models with one name in Backstage (a-b/c and a/b-c); in many files, which are not read all at once."""
    for number in range(50):
        for file, namespace, name in ((f"a{number}", f"n{number}", "b-c"), (f"b{number}", f"n{number}-b", "c")):
            (tmp_path / f"{file}.yaml").write_text(yaml.safe_dump(objects.isvc(name, namespace=namespace)))
    paths = sorted(tmp_path.iterdir())
    found = []
    for order in (paths, paths[::-1]):
        with Reading(order) as files:
            found.append([each.upsert for each in preview(files, defaults=Defaults()).shown])
    assert len({each.model_name for each in found[0]}) == 100
    assert found[0] == found[1]


def test_all_facts_can_be_sent_between_processes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = read(folder, 1, monkeypatch, no_progress)
    assert pickle.loads(pickle.dumps(facts)) == facts  # noqa: S301 - our own


@pytest.mark.parametrize("processes", [1, 3])
def test_the_progress_counts_each_file_once(processes: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int]] = []
    number = len(read(folder, processes, monkeypatch, lambda done, of: shown.append((done, of))))
    assert shown == [(done, number) for done in range(1, number + 1)]
