"""Why a request failed, for all services: no answer, an answer that is an error, or nothing that may be sent."""

from typing import Literal

_UNKNOWN_NAME = (
    "not a valid name",
    "name or service not known",
    "nodename nor servname",
    "name resolution",
    "no address associated",
)


class RemoteError(Exception):
    """A request failed; `expects` is the scheme that the server expects, where its URL has the other one."""

    expects: Literal["", "http", "https"] = ""


class Unreachable(RemoteError):
    """There was no answer: connection refused or reset, time-out, unknown name, certificate not trusted.

    `proxy` is the proxy that was asked, without credentials, empty for a direct connection.
    """

    def __init__(self, url: str, cause: str, *, proxy: str = "") -> None:
        super().__init__(f"{url}: {cause}")
        self.url = url
        self.cause = cause
        self.proxy = proxy

    @property
    def is_unknown_name(self) -> bool:
        """Whether the name of the host is unknown to the DNS."""
        return any(words in self.cause.lower() for words in _UNKNOWN_NAME)


class TimedOut(Unreachable):
    """There was no answer in time."""

    def __init__(self, url: str, *, proxy: str = "") -> None:
        super().__init__(url, f"no answer in time{f' through the proxy {proxy}' if proxy else ''}", proxy=proxy)


class NotTrusted(Unreachable):
    """The server's certificate could not be verified."""


class NoCredentials(RemoteError):
    """A request was not sent, because its token cannot be used; `remedy` is what helps."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class StatusError(RemoteError):
    """The answer is an error; `retry_after` is in seconds, if the server sent it."""

    def __init__(self, *, status: int, reason: str, url: str, retry_after: float | None, body: bytes = b"") -> None:
        super().__init__(f"{url}: {status} {reason}".rstrip())
        self.status = status
        self.reason = reason
        self.url = url
        self.retry_after = retry_after
        self.body = body
