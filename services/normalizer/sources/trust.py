"""Which certificates of registries and catalogs are trusted."""

import ssl
from collections.abc import Iterable
from pathlib import Path


class TrustError(Exception):
    """Certificates to trust that cannot be used; the text names where they came from."""


def trust(authorities: Iterable[tuple[str, str]]) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and those given as (origin, PEM text).

    The origin, such as "MODEL_REGISTRY_CA_FILE /etc/ca.pem", is for messages; an empty text adds nothing.

    Raises:
        TrustError: a text that holds no certificate. Verification is never given up for one.
    """
    context = ssl.create_default_context()
    # Python 3.13 began to refuse authorities without the key identifiers of RFC 5280; the service CA has none.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for origin, pem in authorities:
        if not pem.strip():
            continue
        try:
            # Comments between the certificates may be in any language; ssl takes nothing but ASCII.
            context.load_verify_locations(cadata=pem.encode("ascii", "replace").decode())
        except ssl.SSLError as error:
            raise TrustError(f"{origin} holds no certificate authority in PEM form: {error.reason}") from error
    return context


def read_authority(origin: str, path: Path) -> tuple[str, str]:
    """Return the file's text with its origin, as `trust` takes it.

    Raises:
        TrustError: when the file cannot be read.
    """
    try:
        return f"{origin} {path}", path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TrustError(f"{origin} {path} cannot be read: {error}") from error
