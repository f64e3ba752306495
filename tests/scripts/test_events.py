import pytest

from common.events import EVENTS
from common.problems import PROBLEMS
from scripts import events
from scripts.events import PAGE, Use, faults, page, uses

PROBLEM = """
class Problem:
    id: ProblemId
    severity: str
"""


def found(text: str) -> list[tuple[str, str]]:
    return [(use.kind, use.id) for use in uses({"module.py": text, "common/problems.py": PROBLEM})]


def test_ids_of_events_are_found_however_they_are_logged() -> None:
    assert found('log.info("cache_loaded", documents=1)') == [("event", "cache_loaded")]
    assert found('log.exception("one" if x else "two")') == [("event", "one"), ("event", "two")]
    assert found('tell = log.info if x else log.error\ntell("told_at_some_level")') == [("event", "told_at_some_level")]


def test_ids_of_problems_are_found_where_they_are_written_out() -> None:
    helper = 'def warn(place: str, id_: ProblemId) -> Problem:\n    return Problem(id_, "warning")\n'
    assert found('Problem("name_taken", "info")') == [("problem", "name_taken")]
    assert found('Problem(severity="info", id="name_taken")') == [("problem", "name_taken")]
    assert found(helper + 'warn("there", "name_taken")') == [("problem", "name_taken")]


def test_an_event_with_values_in_its_sentence_is_refused() -> None:
    text = 'log.info(f"{name} is gone")\nlog.info("it is gone")\n'
    complaints = [fault for fault in faults(uses({"module.py": text})) if fault.startswith("module.py")]
    assert [fault.split(": ")[0] for fault in complaints] == ["module.py:1", "module.py:2"]
    assert all("into common/events.py" in fault for fault in complaints)


def test_a_new_id_is_reported_with_what_to_do() -> None:
    [complaint] = [
        each for each in faults([Use("problem", "module.py:7", "brand_new")]) if each.startswith("module.py")
    ]
    assert complaint.startswith("module.py:7: the problem id 'brand_new' is new: add it with its meaning to common/pro")
    assert complaint.endswith("run: make events")


def test_an_id_that_nothing_uses_is_reported() -> None:
    used = [Use("event", "", id_) for id_ in EVENTS] + [Use("problem", "", id_) for id_ in PROBLEMS]
    assert list(faults(used)) == []
    assert list(faults(used[1:])) == [f"common/events.py: nothing uses the event id {next(iter(EVENTS))!r}: remove it"]


def test_the_page_has_every_id_once() -> None:
    text = page(PAGE.read_text(encoding="utf-8"))
    assert [id_ for id_ in (*EVENTS, *PROBLEMS) if text.count(f"| `{id_}` |") < 1] == []
    assert page(text) == text


def test_code_and_page_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert events.main(["--check"]) == 0, capsys.readouterr().out
