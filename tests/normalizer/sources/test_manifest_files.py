"""Objects in files, as kubectl reads them, with their places; and what is skipped."""

import codecs
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.normalizer.sources.manifest_files import (
    FileContents,
    Manifest,
    Place,
    find_manifests,
    read_bytes,
    read_file,
)
from services.normalizer.sources.manifest_text import Unquoted

DEEP_BLOCKS = "".join(" " * depth + "a:\n" for depth in range(300))
ISVC = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\n"


def read(text: str, path: str = "a.yaml") -> FileContents:
    return read_bytes(text.encode(), path)


def names(contents: FileContents) -> list[tuple[str, int]]:
    return [(found.obj["metadata"]["name"], found.place.line) for found in contents.manifests]


def test_documents_and_lists_have_the_lines_they_begin_in() -> None:
    text = f"# one\n{ISVC}---\nkind: ConfigMap\ndata: {{a: InferenceService}}\n--- # two\n" + (
        "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  metadata: {name: s}\n- null\n- x\n"
    )
    assert read(text) == FileContents(
        (
            Manifest(
                {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "m"}},
                Place("a.yaml", 2),
            ),
            Manifest({"kind": "ConfigMap", "data": {"a": "InferenceService"}}, Place("a.yaml", 6)),
            Manifest({"kind": "Service", "metadata": {"name": "s"}}, Place("a.yaml", 12)),
        )
    )


def test_items_of_a_list_of_one_kind_need_not_repeat_it() -> None:
    text = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceServiceList\nitems: [{metadata: {name: m}}]\n"
    [found] = read(text).manifests
    assert (found.obj["kind"], found.obj["apiVersion"]) == ("InferenceService", "serving.kserve.io/v1beta1")


def test_lists_inside_lists_are_taken_apart() -> None:
    inner = {"kind": "List", "items": [{"kind": "Service", "metadata": {"name": "s"}}]}
    assert names(read(json.dumps({"kind": "List", "items": [inner]}))) == [("s", 1)]


def test_json_is_read_as_json() -> None:
    text = json.dumps({"kind": "InferenceService", "metadata": {"name": "🚀 \u2028", "path": "a/b"}}, indent="\t")
    for written in (text, text.replace("a/b", "a\\/b"), f"{text}\n{text}", f"---\n{text}"):
        assert all(found.obj["metadata"] == {"name": "🚀 \u2028", "path": "a/b"} for found in read(written).manifests)
    assert len(read(f"{text}\n\n{text}").manifests) == 2


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
def test_encodings_by_their_mark(mark: bytes, encoding: str) -> None:
    assert names(read_bytes(mark + ISVC.replace("\n", "\r\n").encode(encoding), "a.yaml")) == [("m", 1)]


def test_what_is_neither_is_a_fault_if_it_may_be_ours() -> None:
    [fault] = read_bytes(ISVC.encode() + b"\xff", "a.yaml").faults
    assert "neither UTF-8 nor marked as UTF-16" in fault.message
    assert read_bytes(b"\xff\xfe\xff", "a.yaml") == FileContents()


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("=", "="),
        ("1.10", "1.10"),
        ("0x1F", "0x1F"),
        ("12:30", "12:30"),
        ("1.2.3", "1.2.3"),
        ("2025-01-01", "2025-01-01"),
        ("yes", "yes"),
        ("8080", 8080),
        ("true", True),
        ("~", None),
        ("'8080'", "8080"),
        ("yesterday", "yesterday"),
        ("9" * 40, "9" * 40),
    ],
)
def test_plain_scalars_lose_nothing(written: str, value: object) -> None:
    [found] = read(f"{ISVC}x: {written}\n").manifests
    assert found.obj["x"] == value
    assert type(found.obj["x"]) is (Unquoted if isinstance(value, str) and written in UNQUOTED else type(value))


UNQUOTED = {"1.10", "0x1F", "yes", "9" * 40}


def test_anchors_and_merges_are_followed() -> None:
    [found] = read(f"x: &x {{a: 1, b: 2}}\n{ISVC}y: {{<<: *x, b: 3}}\nz: *x\n").manifests
    assert (found.obj["y"], found.obj["z"]) == ({"a": 1, "b": 3}, {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (f"{ISVC}x: [\n\n", 4, "a bracket is not closed"),
        (f"# fine\n---\n{ISVC}\t- x\n", 6, "a tab stands"),
        (f"{ISVC}x: {'[' * 50_000}", 4, "nested too deeply"),
        (ISVC + DEEP_BLOCKS, 104, "nested too deeply"),
        ('{"kind": "InferenceService", "x": ' + "[" * 50_000, 1, "nested too deeply"),
        (f"{ISVC}x: &x [*x]\n", 4, "alias"),
        (f"{ISVC}x:\n\ty: 1\n", 5, "a tab stands"),
        (f"{ISVC}x: @y\n", 4, "this character needs quotes"),
        (f"{ISVC}x\n  y: 1\n", 4, "a key has no colon"),
        (f"{ISVC}x:\n  y\n    z:\n      a: 1\n", 6, "the line before lacks its colon"),
        (f"{ISVC}x: 'y\nz: 1\n", 4, "a quotation mark is not closed"),
        (f"{ISVC}x: {{y: 1\nz: 1\n", 4, "a bracket is not closed"),
        (f"{ISVC}x:\n  y: 1\n z: 1\n", 6, "indented wrongly"),
        (f"{ISVC}x: - y\n", 4, "a line of its own"),
        ("- InferenceService\n", 1, "a list stands where"),
        ("InferenceService\n", 1, "a text or number stands where"),
        ('{"kind": "InferenceService",\n "x": ]}', 2, "a value is missing"),
    ],
)
def test_documents_that_cannot_be_read_are_faults_with_a_line(text: str, line: int, message: str) -> None:
    [fault] = read(text).faults
    assert fault.place == Place("a.yaml", line)
    assert message in fault.message
    assert not fault.template


def test_one_bad_document_does_not_hide_the_others() -> None:
    contents = read(f"{ISVC}---\nkind: InferenceService\nx: [\n---\n{ISVC.replace('name: m', 'name: n')}")
    assert names(contents) == [("m", 1), ("n", 8)]
    assert len(contents.faults) == 1


@pytest.mark.parametrize(
    "text",
    [
        "metadata:\n  name: {{ .Release.Name }}\n  {{- with .x }}\n",
        "metadata:\n  name: {{ name }}\n",
        "{{ if .x }}\nname: a\n{{ end }}\n",
        "name: {% if a %}b: c: d",
        "a: <%= b %>: c: d",
        "uri: {username}/model\n",
    ],
)
def test_templates_are_reported_apart(text: str) -> None:
    assert [bool(fault.template) for fault in read(f"kind: InferenceService\n{text}").faults] == [True]


@pytest.mark.parametrize("placeholder", ["'{{.Name}}'", "$(MODEL)", "'${MODEL}'"])
def test_a_placeholder_excuses_no_mistake_elsewhere(placeholder: str) -> None:
    """KServe and Kubernetes fill such in themselves: what cannot be read without them is a mistake."""
    [fault] = read(f"{ISVC}args:\n- {placeholder}\n- [\nx: y\n").faults
    assert not fault.template


@pytest.mark.parametrize("text", ["kind: [", "- a: {", "%", "a\tb: c: d", "\0", "{{ x }}", "kind: ConfigMap\nx: ["])
def test_what_is_not_ours_is_ignored(text: str) -> None:
    assert read(text) == FileContents()
    assert read_bytes(text.encode(), "a.yaml", everything=True).faults


@given(st.text("kind: InferenceService{}[]-&*!|>'\"#%@`,?\n\t ", max_size=80), st.binary(max_size=20))
def test_no_file_is_too_odd(text: str, rest: bytes) -> None:
    read_bytes(f"{ISVC}{text}".encode() + rest, "a.yaml")
    read_bytes(text.encode() + b"InferenceService", "a.json")


def test_folders_are_searched_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a.yaml", "b/c.yml", "b/D.JSON", "b/kustomization.yaml", ".git/e.yaml", "..data/f.yaml", "g.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(ISVC)
    found = [str(path.relative_to(tmp_path)) for path in find_manifests([tmp_path])]
    assert found == ["a.yaml", "b/D.JSON", "b/c.yml", "b/kustomization.yaml"]
    assert list(find_manifests([tmp_path / "g.txt"])) == [tmp_path / "g.txt"]
    with pytest.raises(FileNotFoundError):
        find_manifests([tmp_path / "absent"])


def test_files_that_are_too_large_or_closed_are_faults(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (16 * 1024 * 1024) + b"\n")
    assert read_file(large) == FileContents()
    with large.open("ab") as file:
        file.write(ISVC.encode())
    assert "larger than" in read_file(large).faults[0].message
    assert read_file(tmp_path / "absent.yaml").faults


def test_a_folder_that_may_not_be_listed_is_a_fault_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    scan = os.scandir

    def refuse(folder: str | Path) -> Any:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    [path] = find_manifests([tmp_path])
    [fault] = read_file(path).faults
    assert (path, fault.message) == (closed, "there is no right to list this folder")
    assert "give the user that runs this the right" in fault.remedy


def test_a_path_in_a_folder_that_may_not_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(FileNotFoundError, match=r"a\.yaml cannot be read: Permission denied"):
        find_manifests([tmp_path / "a.yaml"])
