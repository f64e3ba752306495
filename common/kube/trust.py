"""Which certificate authorities a server is verified against."""

import ssl
from pathlib import Path


class UntrustedAuthority(Exception):
    """What was given as a certificate authority is none; the text says where it came from and what is wrong."""


def system_trust() -> ssl.SSLContext:
    """Return a context that verifies servers against the system's certificate authorities."""
    return ssl.create_default_context()


def trust_pem(pem: str, origin: str) -> ssl.SSLContext:
    """Return a context that verifies servers against the certificates in `pem` alone.

    Raises:
        UntrustedAuthority: `pem` holds no readable certificate.
    """
    # Between certificates there may be comments, in any language; ssl takes nothing but ASCII.
    ascii_only = pem.encode("ascii", "replace").decode("ascii")
    try:
        return _lenient(ssl.create_default_context(cadata=ascii_only))
    except ssl.SSLError as error:
        raise UntrustedAuthority(f"{origin} is not a certificate authority in PEM form: {error.reason}") from error


def trust_file(path: Path) -> ssl.SSLContext:
    """Return a context that verifies servers against the certificates in a file alone.

    Raises:
        UntrustedAuthority: the file cannot be read or holds no readable certificate.
    """
    try:
        return trust_pem(path.read_text(), f"the file {path}")
    except (OSError, UnicodeDecodeError) as error:
        raise UntrustedAuthority(f"the certificate authority {path} cannot be read: {error}") from error


def _lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python 3.13 began to refuse authorities without the key identifiers of RFC 5280, which many a cluster's own
    # authority lacks. Chain, host name and dates are verified as before.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
