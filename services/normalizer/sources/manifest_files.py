"""Kubernetes objects in files, each with its place: YAML and JSON, as kubectl reads them.

A file is taken apart into documents first, and only those that may hold something of ours are parsed: a folder of
manifests has much else in it, templates among it, and none of that is anybody's fault.
"""

import mmap
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from common import texts
from services.normalizer.normalize.connection import readable_part
from services.normalizer.sources.manifest_text import Located, UnreadableError, parse_objects

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")

Stamp = tuple[int, int, int]
"""What changes when a file does: time of modification, size, inode."""

_GRANT = "give the user that runs this the right to read it"
_MAX_BYTES = 16 * 1024 * 1024
_DOCUMENT = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_MAY_BE_OURS = re.compile(r"Service|kserve|kubeflow|seldon|\bSecret\b")
_OURS = "InferenceService"
_WITH_SECRETS = "Secret"
# What Helm, Jinja, Kustomize, Flux and others fill in.
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<%.*?%>|\$\{[^{}\n]*\}|\$\([^()\n]*\)|\{[a-z_]+\}", re.IGNORECASE)
_ACTION = re.compile(r"^[ \t]*(?:\{\{[^\n]*\}\}|\{%[^\n]*%\})[ \t]*\r?\n?", re.MULTILINE)
# Unlike `{{.Name}}`, which KServe fills in itself.
_CONTROL = re.compile(
    r"\{\{-|-\}\}|\{%|<%|\{\{\s*(?:if|range|with|include|define|template|end|else|\.Values|\.Release|\.Chart)\b"
)


class Place(NamedTuple):
    """A place in a file: its path, and a line counted from 1, or 0 for the file as a whole."""

    path: str
    line: int = 0

    @property
    def shown(self) -> str:
        """The path in a form that can be written; bytes in it that are not UTF-8 are replaced."""
        return texts.unicode(self.path)

    def __str__(self) -> str:
        return f"{self.shown}:{self.line}" if self.line else self.shown


class Manifest(NamedTuple):
    """A Kubernetes object and its place."""

    obj: dict[str, Any]
    place: Place


class DocumentFault(NamedTuple):
    """A document that cannot be read, and what to do unless that is obvious.

    `template` is a placeholder in it, if it is one that has to be rendered first, and so no manifest.
    """

    place: Place
    message: str
    template: str = ""
    remedy: str = ""


class FileContents(NamedTuple):
    """The manifests in a file that concern the connector, and the documents that cannot be read.

    `was_read`: the system gave its content, whatever that is.
    """

    manifests: tuple[Manifest, ...] = ()
    faults: tuple[DocumentFault, ...] = ()
    was_read: bool = True


def manifest_paths(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the manifest files among `paths` and below the folders among them, those of a folder sorted by name.

    Names that begin with a dot are left out below a folder: tools' own, and the folders behind a mounted ConfigMap.

    Raises:
        FileNotFoundError: one of `paths` does not exist, or its folder cannot be looked into.
    """
    for path in paths:
        try:
            path.stat()
        except OSError as error:
            why = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            raise FileNotFoundError(texts.unicode(f"{path} {why}")) from None
        if path.is_dir():
            yield from _below(path)
        else:
            yield path


def find_manifests(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the same files, each with a stamp that shows changes; raises what `manifest_paths` raises."""
    found: dict[Path, Stamp] = {}
    for path in manifest_paths(paths):
        with suppress(OSError):  # it was deleted in the meantime
            status = path.stat()
            found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def read_file(path: Path, *, everything: bool = False) -> FileContents:
    """Return the contents of a file; never raises: what is wrong with it is among its faults.

    With `everything` all of its objects, and the faults of all of its documents, whatever they are about.
    """
    everything = everything or path.name in KUSTOMIZATIONS
    try:
        if path.stat().st_size > _MAX_BYTES:
            fault = DocumentFault(Place(str(path)), f"it is larger than {_MAX_BYTES} bytes")
            return FileContents(faults=(fault,) if everything or _mentions_ours(path) else ())
        raw = path.read_bytes()
    except OSError as error:
        is_folder = isinstance(error, IsADirectoryError)
        message = "there is no right to list this folder" if is_folder else error.strerror or str(error)
        fault = DocumentFault(Place(str(path)), message, remedy=_GRANT)
        return FileContents(faults=(fault,), was_read=False)
    return read_bytes(raw, str(path), everything=everything)


def read_bytes(raw: bytes, path: str, *, everything: bool = False) -> FileContents:
    """Return the contents of a file from its bytes, as `read_file` does."""
    try:
        text = texts.decode(raw)
    except UnicodeDecodeError as error:
        message = f"it is neither UTF-8 nor marked as UTF-16 (byte {error.start})"
        remedy = "save it as UTF-8; if it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 FILE > NEW"
        fault = DocumentFault(Place(path, raw.count(b"\n", 0, error.start) + 1), message, remedy=remedy)
        return FileContents(faults=(fault,) if everything or _OURS.encode() in raw else ())
    manifests: list[Manifest] = []
    faults: list[DocumentFault] = []
    for document, line in _documents(text):
        if not everything and not _MAY_BE_OURS.search(document):
            continue
        try:
            manifests += [Manifest(_kept(obj), Place(path, line + at)) for obj, at in _objects(document)]
        except UnreadableError as error:
            if everything or _OURS in document:
                template = _placeholder_of(document)
                faults.append(DocumentFault(Place(path, line + error.line), error.message, template))
    return FileContents(tuple(manifests), tuple(faults))


def _kept(obj: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of an object: of a Secret only what may be shown of a connection."""
    return readable_part(obj) if obj.get("kind") == _WITH_SECRETS else obj


def is_placeholder(text: str) -> bool:
    """Return whether a text is or contains a placeholder."""
    return _PLACEHOLDER.search(text) is not None


def _mentions_ours(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_OURS.encode()) >= 0


def _below(folder: str | Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(
                (entry for entry in listing if not entry.name.startswith(".")), key=lambda entry: entry.name
            )
    except FileNotFoundError:  # it was deleted in the meantime
        return
    except OSError:  # there is no right to look into it: `read_file` says so
        yield Path(folder)
        return
    for entry in entries:
        if (entry.name.lower().endswith(SUFFIXES) or entry.name in KUSTOMIZATIONS) and _is_file(entry):
            yield Path(entry.path)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether it is a regular file, or a link to one: reading a pipe would block."""
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _documents(text: str) -> Iterator[tuple[str, int]]:
    """Yield the documents of a text, and in which line each begins, counted from 1."""
    # A directive belongs to the document after the next marker.
    starts = [0]
    if "---" in text and not ("%" in text and _DIRECTIVE.search(text)):
        starts += [match.start() for match in _DOCUMENT.finditer(text)]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end], line
        line += text.count("\n", start, end)


def _placeholder_of(document: str) -> str:
    """Return a placeholder of an unreadable document that is a template, empty if it is none.

    It is one if it could be read when it is filled in, or if it has control structures.
    """
    filled = _PLACEHOLDER.sub("x", _ACTION.sub("", document))
    if filled == document:
        return ""
    control = _CONTROL.search(document)
    found = control or _PLACEHOLDER.search(document) or _ACTION.search(document)
    try:
        parse_objects(filled)
    except UnreadableError:
        found = control
    return document[found.start() :].partition("\n")[0] if found else ""


def _objects(document: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the Kubernetes objects of a document, and in which line of it each begins; a List is taken apart.

    Raises:
        UnreadableError: it is neither JSON nor YAML, or holds something else.
    """
    for value, line in parse_objects(document):
        if isinstance(value, Located):
            yield from _taken_apart(value, line)
        elif value is not None:
            found = "a list" if isinstance(value, list) else "a text or number"
            raise UnreadableError(f"{found} stands where a Kubernetes object is expected", line)


def _taken_apart(obj: Located, line: int) -> Iterator[tuple[dict[str, Any], int]]:
    items, kind = obj.get("items"), str(obj.get("kind", ""))
    if not kind.endswith("List"):
        yield obj, line
    elif isinstance(items, list):
        for item in items:
            if isinstance(item, Located):
                if kind != "List":  # in a list of one kind, as the API server answers, the items do not repeat it
                    item.setdefault("apiVersion", obj.get("apiVersion"))
                    item.setdefault("kind", kind.removesuffix("List"))
                yield from _taken_apart(item, item.line if item.line >= 0 else line)
