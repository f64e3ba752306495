"""Why a request failed, in words, without what only the author of the HTTP library understands."""

import os
import re
import socket
import ssl

import aiohttp

from common.texts import parse_json

_BLANKS = re.compile(r"\s+")
_TAGS = re.compile(r"<[^>]*>")
# `[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)`
_SSL = re.compile(r"\[SSL[^\]]*\] | \(_ssl\.c:\d+\)")
_NO_TLS = "WRONG_VERSION_NUMBER"
# What servers written in Go, and nginx, answer to a request without TLS, with status 400.
_WANTS_TLS = ("HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port")


def cause_of(error: Exception, *, proxy: str = "") -> str:
    """Return why there was no answer; `proxy` is the host and port of the proxy that was asked, if any."""
    if isinstance(error, UnicodeError):
        return "its host is not a valid name"
    if isinstance(error, aiohttp.ClientHttpProxyError):  # its answer to CONNECT
        return f"the proxy refuses to connect: {error.status} {error.message}".rstrip()
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was lost in the middle of the answer"
    if not isinstance(error, aiohttp.ClientConnectorError):
        return str(error) or type(error).__name__
    asked = f"{error.host}:{error.port}"
    return f"cannot connect to {'the proxy ' if asked == proxy else ''}{asked}: {_of_system(error.os_error)}"


def speaks_no_tls(error: Exception) -> bool:
    """Return whether a connection failed because the server does not speak TLS, and its URL says https."""
    of_system = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    return isinstance(of_system, ssl.SSLError) and of_system.reason == _NO_TLS


def wants_tls(reason: str) -> bool:
    """Return whether the reason of an answer is that the server speaks TLS, and its URL says http."""
    return any(words in reason for words in _WANTS_TLS)


def distrust_of(error: aiohttp.ClientConnectorCertificateError) -> str:
    """Return why a certificate is not trusted."""
    of_tls = error.certificate_error
    return getattr(of_tls, "verify_message", "") or _SSL.sub("", str(of_tls))


def reason_of(status: int, body: bytes) -> str:
    """Return a short text from the body of an error: the message in its JSON, or its text without markup."""
    text = body[:4096].decode("utf-8", "replace")
    try:
        fields = parse_json(body)
        if isinstance(fields, dict):
            text = str(fields.get("detail") or fields.get("message") or fields.get("error") or text)
    except ValueError:
        text = _TAGS.sub(" ", text)
    return _BLANKS.sub(" ", text).strip().removeprefix(f"{status}").lstrip(" :")[:300]


def _of_system(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == _NO_TLS:
            return "it does not speak TLS: is its URL http:// instead of https://?"
        return _SSL.sub("", str(error.strerror or error))
    if isinstance(error, socket.gaierror) or not error.errno or error.errno < 0:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()
