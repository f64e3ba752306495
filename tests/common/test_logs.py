import json
import subprocess
import sys


def logged(code: str, format_: str = "json") -> str:
    """Return what a process writes whose logging is set up by us."""
    script = f"import structlog\nfrom common import logs\nlogs.configure(format={format_!r})\n"
    script += "log = structlog.get_logger('x')\n"
    ended = subprocess.run([sys.executable, "-c", script + code], capture_output=True, text=True, check=True)
    return ended.stderr


def test_a_line_has_the_id_the_meaning_for_people_and_the_values() -> None:
    line = json.loads(logged("log.warning('removals_held', source='kserve', entries=7)"))
    assert (line["event"], line["source"], line["entries"]) == ("removals_held", "kserve", 7)
    assert line["message"].startswith("Many entries are missing at once.")


def test_a_line_of_a_library_is_kept_as_it_is() -> None:
    line = json.loads(logged("import logging; logging.getLogger('library').warning('a %s of its own', 'text')"))
    assert line["event"] == "a text of its own"
    assert "message" not in line


def test_people_read_the_id_and_the_fields() -> None:
    text = logged("log.info('entry_removed', key='a_b', reason='deleted')", "console")
    assert "entry_removed" in text
    assert "key=a_b" in text
    assert "An entry left the catalog" in text


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in logged("log.info('listening', api_token='hunter2')")
