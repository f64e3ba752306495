"""Makes the tree of files from which TechDocs builds a model's documentation, and packs it as an archive. No I/O."""

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence

from common.catalog_info import in_yaml
from services.location.cards import page
from services.location.cards.page import CardContent
from services.location.view import View


def tree(view: View, content: CardContent, versions: Sequence[View]) -> dict[str, str]:
    """Return the files of a model's documentation by path; the pages are `docs/*.md`, the first one `docs/index.md`."""
    pages = {"Model card" if content.card.strip() else "About": ("index.md", page.index_page(view, content))}
    if view.server:
        pages[page.CALLING] = ("calling.md", page.calling_page(view, view.server))
    if use := page.use_page(view):
        pages[page.USE] = ("use.md", use)
    if len(versions) > 1:
        pages["Versions"] = ("versions.md", page.versions_page(view, versions))
    configuration = _configuration(view.version_title, {title: file for title, (file, _) in pages.items()})
    return {"mkdocs.yml": configuration, **{f"docs/{file}": text for file, text in pages.values()}}


def archive(files: Mapping[str, str], *, folder: str) -> bytes:
    """Return files as a `.tar.gz` below a folder, as Git forges do; the same files give the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{path}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), compresslevel=6, mtime=0)


def _configuration(title: str, pages: Mapping[str, str]) -> str:
    """Return the configuration of mkdocs.

    It names TechDocs' own theme only to turn off the download of fonts: without internet access, pages would stay
    blank. TechDocs adds the plugins.
    """
    lines = [f"site_name: {in_yaml(title)}", "docs_dir: docs", "theme:", "  name: material", "  font: false", "nav:"]
    return "\n".join([*lines, *(f"  - {in_yaml(name)}: {file}" for name, file in pages.items()), ""])
