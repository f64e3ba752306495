"""Following files: what is reported when they change, break and are fixed."""

from pathlib import Path

import pytest
import structlog
import yaml

from common.faults import Fault
from services.normalizer.facts import Gone
from services.normalizer.source import News, Sink
from services.normalizer.sources.manifest_files import FileContents, read_file
from services.normalizer.sources.manifests import ManifestSource
from tests import objects


class Told(Sink):
    """Remembers which InferenceServices there are, and the source's state."""

    def __init__(self) -> None:
        self.isvcs: set[str] = set()
        self.reading = ""
        self.partly = True

    def changed(self, news: News) -> None:
        for ref, fact in news.items():
            (self.isvcs.discard if isinstance(fact, Gone) else self.isvcs.add)("/".join(ref.ids))

    def listed(self, *, lacking: Fault | None = None) -> None:
        self.reading = "whole"

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        self.reading = fault.reason if fault is not None else ""
        self.partly = partly


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def source(tmp_path: Path) -> ManifestSource:
    return ManifestSource(paths=[tmp_path])


def text(*names: str) -> str:
    return yaml.safe_dump_all([objects.isvc(name) for name in names])


@pytest.mark.parametrize("broken", ["kind: [", "{{ a }}: {{", f"{text('a')}---\nx: [\n", "just words"])
async def test_what_a_file_held_stays_while_it_is_broken(
    broken: str, tmp_path: Path, source: ManifestSource, told: Told
) -> None:
    (tmp_path / "m.yaml").write_text(text("a", "b"))
    await source.look(told)
    assert (told.isvcs, told.reading) == ({"models/a", "models/b"}, "whole")
    (tmp_path / "m.yaml").write_text(broken)
    (tmp_path / "other.yaml").write_text(text("c"))
    await source.look(told)
    assert told.isvcs == {"models/a", "models/b", "models/c"}
    assert f"{tmp_path / 'm.yaml'}:" in told.reading
    (tmp_path / "m.yaml").write_text(text("b") + "# fixed\n")
    await source.look(told)
    assert (told.isvcs, told.reading) == ({"models/b", "models/c"}, "whole")


@pytest.mark.parametrize("other", ["kind: [", "- a", "{{ x }}", "kind: InferenceService\nname: {{ x }}\n{{- if y }}"])
async def test_what_holds_nothing_of_ours_holds_up_nothing(
    other: str, tmp_path: Path, source: ManifestSource, told: Told
) -> None:
    (tmp_path / "other.yaml").write_text(other)
    (tmp_path / "m.yaml").write_text(text("a"))
    await source.look(told)
    assert (told.isvcs, told.reading) == ({"models/a"}, "whole")
    (tmp_path / "m.yaml").unlink()
    await source.look(told)
    assert told.isvcs == set()


async def test_a_problem_is_reported_once_with_its_place_and_its_end_too(
    tmp_path: Path, source: ManifestSource, told: Told
) -> None:
    file = tmp_path / "m.yaml"
    with structlog.testing.capture_logs() as lines:
        file.write_text("kind: InferenceService\nx: [")
        await source.look(told)
        file.write_text("# moved\nkind: InferenceService\nx: [")
        await source.look(told)
        file.write_text(text("a"))
        await source.look(told)
        await source.look(told)
    assert [(line["log_level"], line.get("place", "")) for line in lines] == [
        ("warning", f"{file}:2"),
        ("warning", f"{file}:3"),
        ("info", ""),
        ("info", ""),
    ]
    assert [line["event"] for line in lines] == ["problem_found", "problem_found", "problem_solved", "problem_solved"]
    assert lines[-1]["problem"] == "file_unreadable"


async def test_only_what_changed_is_read_again(
    tmp_path: Path, source: ManifestSource, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def recorded(path: Path, *, everything: bool) -> FileContents:
        read.append(path.name)
        return read_file(path, everything=everything)

    monkeypatch.setattr("services.normalizer.sources.manifests.read_file", recorded)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.yaml").write_text(text(name))
    await source.look(told)
    (tmp_path / "b.yaml").write_text(f"# edited\n{text('b')}")
    await source.look(told)
    kustomization = tmp_path / "kustomization.yaml"
    kustomization.write_text("namespace: prod\nresources: [a.yaml, c.yaml]\n")
    await source.look(told)
    assert told.isvcs == {"prod/a", "models/b", "prod/c"}
    kustomization.unlink()
    await source.look(told)
    assert told.isvcs == {"models/a", "models/b", "models/c"}
    assert "".join(name[0] for name in read) == "abcbkacac"


async def test_a_file_that_the_system_does_not_give_is_tried_again_until_it_does(
    tmp_path: Path, source: ManifestSource, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = tmp_path / "a.yaml"
    read_bytes = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path == refused:
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(text(name))
    await source.look(told)
    assert (told.isvcs, told.reading) == ({"models/b"}, f"{refused} cannot be read: Permission denied")
    told.reading = "as before"
    await source.look(told)
    assert told.reading == "as before"
    monkeypatch.undo()
    await source.look(told)
    assert (told.isvcs, told.reading) == ({"models/a", "models/b"}, "whole")


async def test_a_folder_that_is_gone_changes_nothing(tmp_path: Path, source: ManifestSource, told: Told) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "m.yaml").write_text(text("a"))
    followed = ManifestSource(paths=[folder])
    await followed.look(told)
    folder.rename(tmp_path / "elsewhere")
    await followed.look(told)
    assert told.isvcs == {"models/a"}


async def test_a_path_that_is_missing_is_reported_and_forgotten_when_it_is_back(tmp_path: Path, told: Told) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.yaml").write_text(text("a"))
    source = ManifestSource(paths=[folder])
    await source.look(told)
    folder.rename(tmp_path / "elsewhere")
    await source.look(told)
    assert told.reading == f"{folder} does not exist"
    assert not told.partly
    assert told.isvcs == {"models/a"}
    (tmp_path / "elsewhere").rename(folder)
    await source.look(told)
    assert (told.isvcs, told.reading) == ({"models/a"}, "whole")
