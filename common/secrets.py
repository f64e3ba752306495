"""Tokens: where they come from, read again when they change, compared without telling anything."""

import base64
import hmac
from collections.abc import Callable
from pathlib import Path

TokenSource = Callable[[], str | None]
"""Gives the token to use now, or None when there is none."""


class StaticToken:
    """A token that came with the environment and stays for the life of the process."""

    __slots__ = ("_token",)

    def __init__(self, token: str) -> None:
        self._token = token.strip()

    def __call__(self) -> str | None:
        """Return the token, None when it is empty."""
        return self._token or None

    def __repr__(self) -> str:
        return "StaticToken(***)"


class FileToken:
    """A token in a file that somebody else renews, such as the kubelet; read again when the file changes."""

    __slots__ = ("_path", "_stamp", "_token")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._token: str | None = None

    def __call__(self) -> str | None:
        """Return what the file holds now, or held last."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._token = self._path.read_text().strip() or None
                self._stamp = stamp
        except OSError:
            # The kubelet swaps the file by renaming: what was read last serves until the new one is there.
            pass
        return self._token

    def __repr__(self) -> str:
        return f"FileToken({self._path})"


class MountedCredentials:
    """What servers ask for, in the files of a folder where a Secret is mounted.

    `NAME.token` holds the bearer token of the server NAME, or `NAME.username` and `NAME.password` what it takes as HTTP
    Basic authentication (RFC 7617).
    """

    def __init__(self, folder: Path | None) -> None:
        """Without a folder nobody is given anything."""
        self._folder = folder

    def of(self, name: str) -> Callable[[], str | None]:
        """Return what gives the Authorization header for a server, as its files are now; None where there are none."""
        if self._folder is None:
            return lambda: None
        token, username, password = (
            FileToken(self._folder / f"{name}.{part}") for part in ("token", "username", "password")
        )

        def header() -> str | None:
            if bearer := token():
                return f"Bearer {bearer}"
            user = username()
            if user is None:
                return None
            pair = f"{user}:{password() or ''}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"

        return header


def same_token(given: str, expected: str) -> bool:
    """Compare in a time that does not depend on where the two differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
