"""Which certificate authorities servers are verified against; verification is never given up for a faulty one."""

import ssl
from collections.abc import Iterable
from pathlib import Path

Authority = tuple[str, str]
"""Where an authority comes from, such as "MODEL_REGISTRY_CA_FILE /etc/ca.pem", for messages; and its PEM text."""


class TrustError(Exception):
    """What was given as a certificate authority is none; the text says where it came from and what is wrong."""


def system_trust() -> ssl.SSLContext:
    """Return a context that verifies servers against the system's certificate authorities."""
    return ssl.create_default_context()


def trust_also(authorities: Iterable[Authority]) -> ssl.SSLContext:
    """Return a context that verifies servers against the system's authorities and these; an empty text adds nothing.

    Raises:
        TrustError: a text holds no certificate.
    """
    context = _lenient(ssl.create_default_context())
    for origin, pem in authorities:
        if pem.strip():
            _load(context, origin, pem)
    return context


def trust_only(authority: Authority) -> ssl.SSLContext:
    """Return a context that verifies servers against the certificates of one text alone.

    Raises:
        TrustError: the text holds no certificate.
    """
    context = _lenient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    _load(context, *authority)
    return context


def read_authority(origin: str, path: Path) -> Authority:
    """Return the text of a file with its origin.

    Raises:
        TrustError: the file cannot be read.
    """
    try:
        return f"{origin} {path}", path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TrustError(f"{origin} {path} cannot be read: {error}") from error


def _load(context: ssl.SSLContext, origin: str, pem: str) -> None:
    try:
        # Comments between the certificates may be in any language; ssl takes nothing but ASCII.
        context.load_verify_locations(cadata=pem.encode("ascii", "replace").decode())
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", "") or str(error)
        raise TrustError(f"{origin} is not a certificate authority in PEM form: {reason}") from error


def _lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python 3.13 began to refuse authorities without the key identifiers of RFC 5280, which many a cluster's own
    # authority lacks. Chain, host name and dates are verified as before.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
