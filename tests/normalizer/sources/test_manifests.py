"""Following files: what is told when they change, break and are fixed."""

from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from services.normalizer.sources.manifests import ManifestSource
from tests import objects


class Listener:
    """Remembers which InferenceServices there are, and how the source fares."""

    def __init__(self) -> None:
        self.isvcs: set[str] = set()
        self.state = ""

    def isvc_changed(self, source: Any, key: Any, facts: Any, *, explicit: bool, bare: bool = False) -> None:
        assert explicit
        (self.isvcs.discard if facts is None else self.isvcs.add)("/".join(key))

    def service_changed(self, source: Any, key: Any, facts: Any) -> None: ...

    def service_account_changed(self, source: Any, key: Any, facts: Any) -> None: ...

    def isvc_unusable(self, source: Any, key: Any, problem: Any) -> None: ...

    def source_state(self, source: Any, state: Any) -> None: ...

    def source_listed(self, source: str) -> None:
        self.state = "whole"

    def source_partly_listed(self, source: str, reason: str) -> None:
        self.state = reason


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def source(tmp_path: Path, listener: Listener) -> ManifestSource:
    return ManifestSource(paths=[tmp_path], listener=listener)


def text(*names: str) -> str:
    return yaml.safe_dump_all([objects.isvc(name) for name in names])


@pytest.mark.parametrize("broken", ["kind: [", "{{ a }}: {{", f"{text('a')}---\nx: [\n", "just words"])
async def test_what_a_file_held_stays_while_it_is_broken(
    broken: str, tmp_path: Path, source: ManifestSource, listener: Listener
) -> None:
    (tmp_path / "m.yaml").write_text(text("a", "b"))
    await source.look()
    assert (listener.isvcs, listener.state) == ({"models/a", "models/b"}, "whole")
    (tmp_path / "m.yaml").write_text(broken)
    (tmp_path / "other.yaml").write_text(text("c"))
    await source.look()
    assert listener.isvcs == {"models/a", "models/b", "models/c"}
    assert f"{tmp_path / 'm.yaml'}:" in listener.state
    (tmp_path / "m.yaml").write_text(text("b") + "# fixed\n")
    await source.look()
    assert (listener.isvcs, listener.state) == ({"models/b", "models/c"}, "whole")


@pytest.mark.parametrize("other", ["kind: [", "- a", "{{ x }}", "kind: InferenceService\nname: {{ x }}: {{"])
async def test_what_holds_nothing_of_ours_holds_up_nothing(
    other: str, tmp_path: Path, source: ManifestSource, listener: Listener
) -> None:
    (tmp_path / "other.yaml").write_text(other)
    (tmp_path / "m.yaml").write_text(text("a"))
    await source.look()
    assert (listener.isvcs, listener.state) == ({"models/a"}, "whole")
    (tmp_path / "m.yaml").unlink()
    await source.look()
    assert listener.isvcs == set()


async def test_a_problem_is_told_once_with_its_place_and_its_end_too(tmp_path: Path, source: ManifestSource) -> None:
    file = tmp_path / "m.yaml"
    with structlog.testing.capture_logs() as told:
        file.write_text("kind: InferenceService\nx: [")
        await source.look()
        file.write_text("# moved\nkind: InferenceService\nx: [")
        await source.look()
        file.write_text(text("a"))
        await source.look()
        await source.look()
    assert [(line["log_level"], line.get("place", "")) for line in told] == [
        ("warning", f"{file}:2"),
        ("warning", f"{file}:3"),
        ("info", ""),
        ("info", ""),
    ]
    assert told[-1]["event"].startswith("no longer so: not read")


async def test_a_folder_that_is_gone_changes_nothing(
    tmp_path: Path, source: ManifestSource, listener: Listener
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "m.yaml").write_text(text("a"))
    followed = ManifestSource(paths=[folder], listener=listener)
    await followed.look()
    folder.rename(tmp_path / "elsewhere")
    await followed.look()
    assert listener.isvcs == {"models/a"}
