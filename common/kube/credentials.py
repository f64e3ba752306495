"""The address of an API server and the credentials for it."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from common.secrets import TokenSource, UnusableToken


class CredentialsError(Exception):
    """There are no usable credentials for the API server.

    The text says what is wrong and what to do; `message` and `remedy` are its parts, as far as they are apart.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__("; ".join(filter(None, (message, remedy))))
        self.message = message
        self.remedy = remedy


class MissingCredentials(CredentialsError):
    """No credentials are given at all: perhaps there is no cluster."""


OTHER_AUTHORITY = "the certificate authority given with the token (ca.crt) is not the one of this API server"
"""What is wrong where an authority was given, and the server's certificate is not signed by it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The address of an API server and the credentials for it.

    `origin` says where they were found, `refused` what to do if the server rejects them (401), `distrusted` what to do
    if its certificate cannot be verified. `renew` reads fresh credentials into `token` and `ssl` and returns whether
    they have changed; None if that is not needed or not possible.
    """

    server: str
    token: TokenSource | None
    ssl: ssl.SSLContext | bool
    namespace: str | None
    origin: str
    refused: str
    renew: Callable[[], Awaitable[bool]] | None = None
    distrusted: str = OTHER_AUTHORITY

    def current_token(self) -> str | None:
        """Return the token to use now, None without one that can be used."""
        try:
            return self.token() if self.token is not None else None
        except UnusableToken:
            return None
