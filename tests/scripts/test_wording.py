from pathlib import Path

import pytest

from scripts import wording
from scripts.wording import Use, files, uses


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Tell whether it is there.", "Tell whether"),
        ("every id starts anew", "anew"),
        ("what was mended before", "mended"),
        ("a name with no absolute\n    URL in it", "no absolute URL"),
        ("    # this goes on for\n    # ever", "for ever"),
        ("    self._let_go(entry)", "_let_go"),
        ("an explicit URL goes\n# before a Route", "goes before"),
        ("what nobody\n    has named", "nobody"),
        ("# the details beside the document", "beside"),
        ("each problem is\n# told", "problem is told"),
    ],
)
def test_a_banned_phrase_is_found_across_lines_and_in_names(text: str, phrase: str) -> None:
    assert [use.phrase for use in uses(text)] == [phrase]


@pytest.mark.parametrize(
    "text",
    [
        "for every reader",
        "an amendment",
        "renewed",
        "forever",
        "a kickoff",
        "Return whether",
        'grant("nobody")',
        "besides",
        "a reader is told",
    ],
)
def test_other_words_with_the_same_letters_are_left_alone(text: str) -> None:
    assert uses(text) == []


def test_a_use_is_told_with_its_line_and_what_to_write() -> None:
    assert uses("first\nread it anew\n") == [Use(2, "anew", "again")]


def test_code_documents_and_deployment_files_are_read_and_recorded_text_is_not() -> None:
    read = {path.relative_to(wording.ROOT) for path in files()}

    assert {Path("common/logs.py"), Path("README.md"), Path("deploy/README.md"), Path(".ci/run")} <= read
    assert not [path for path in read if path.parts[:2] == ("tests", "golden")]


def test_the_check_fails_on_a_use_and_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("It begins anew.\n", encoding="utf-8")
    monkeypatch.setattr(wording, "ROOT", tmp_path)
    monkeypatch.setattr(wording, "FILES", ())

    assert wording.main() == 1
    assert 'docs/page.md:1: "anew": write: again' in capsys.readouterr().out
