"""Tags, in the forms that Backstage keeps (Backstage: "Descriptor Format", metadata.tags)."""

from collections.abc import Iterable

from common import backstage


def label_tag(key: str, value: str) -> str | None:
    """Return the tag for a Kubernetes label, or None when nothing of it can stand in a tag."""
    return backstage.tag(backstage.sanitize(f"{backstage.sanitize(key)}-{backstage.sanitize(value)}"))


def tag_set(tags: Iterable[str | None]) -> tuple[str, ...]:
    """Return the tags sorted, each once, without those that are None."""
    return tuple(sorted({tag for tag in tags if tag}))
