"""What it takes to speak to an API server."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from common.secrets import TokenSource


class CredentialsError(Exception):
    """There is no usable way to the API server; the text names what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One API server and how to speak to it.

    `origin` says where they were found, `refused` what to do when the server does not accept them (401), `distrusted`
    what to do when its certificate cannot be verified; `renew` gets fresh ones into `token` and `ssl` and returns
    whether there were any, None where that happens by itself or never.
    """

    server: str
    token: TokenSource | None
    ssl: ssl.SSLContext | bool
    namespace: str | None
    origin: str
    refused: str
    renew: Callable[[], Awaitable[bool]] | None = None
    distrusted: str = "the certificate authority given with the token (ca.crt) is not the one of this API server"
