"""Values that become links in Backstage: one that is no absolute URL makes the catalog reject the whole entity."""

import re

from common import backstage

_BLANK = re.compile(r"\s")


def as_link(written: str) -> str | None:
    """Return the absolute URL that `written` is, with blanks percent-encoded, or None when it is something else."""
    scheme, separator, _ = written.partition("://")
    link = _BLANK.sub("%20", written) if separator and not _BLANK.search(scheme) else written
    return link if backstage.is_link(link) else None


def is_web_address(link: str) -> bool:
    """Tell whether a browser can open `link`."""
    return link.lower().startswith(("http://", "https://"))
