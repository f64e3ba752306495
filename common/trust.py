"""TLS contexts that verify servers against certificate authorities; an invalid authority is always an error.

The only module that makes contexts for TLS clients; a client that is given none uses the system's authorities.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path

from common import texts

_BEGIN = "-----BEGIN CERTIFICATE-----"

Authority = tuple[str, str]
"""The origin of an authority for messages, such as "MODEL_REGISTRY_CA_FILE /etc/ca.pem", and its PEM text."""


class TrustError(Exception):
    """A certificate authority is invalid; the text says where it came from and what is wrong."""


def system_trust() -> ssl.SSLContext:
    """Return a context that verifies servers against the system's certificate authorities."""
    return ssl.create_default_context()


def trust_also(authorities: Iterable[Authority]) -> ssl.SSLContext:
    """Return a context that verifies servers against the system's authorities and these; empty texts are ignored.

    Raises:
        TrustError: a text contains no certificate.
    """
    context = _lenient(ssl.create_default_context())
    for origin, pem in authorities:
        if pem.strip():
            _load(context, origin, pem)
    return context


def trust_only(authority: Authority) -> ssl.SSLContext:
    """Return a context that verifies servers only against the certificates in one text.

    Raises:
        TrustError: the text contains no certificate.
    """
    context = _lenient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    _load(context, *authority)
    return context


def authorities_of(context: ssl.SSLContext | bool, origin: str) -> list[Authority]:
    """Return the authorities that a context verifies servers against, to have others verified against them too."""
    if not isinstance(context, ssl.SSLContext):
        return []
    return [(origin, ssl.DER_cert_to_PEM_cert(each)) for each in context.get_ca_certs(binary_form=True)]


def read_authority(origin: str, path: Path) -> Authority:
    """Return the authority in a file.

    Raises:
        TrustError: the file cannot be read.
    """
    try:
        return f"{origin} {path}", texts.read_file(path)
    except texts.UnreadableFile as error:
        raise TrustError(f"{origin} {error}") from error


def _load(context: ssl.SSLContext, origin: str, pem: str) -> None:
    try:
        # Comments between the certificates may contain any characters; ssl accepts only ASCII.
        context.load_verify_locations(cadata=pem.encode("ascii", "replace").decode())
    except (ssl.SSLError, ValueError) as error:
        what = "its certificate is cut off or damaged" if _BEGIN in pem else f"it has no line {_BEGIN}"
        raise TrustError(f"{origin} is not a certificate authority in PEM form: {what}") from error


def _lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    # Since Python 3.13, authorities without the key identifiers of RFC 5280 are refused, and those of many clusters
    # lack them. Chain, host name and dates are still verified.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
