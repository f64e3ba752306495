"""A certificate authority of its own, and a server certificate for the loopback addresses."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme

_FILES = ("ca.pem", "server.pem")


@dataclass(frozen=True)
class Certificates:
    """PEM texts: the authority's certificate, and the server's key with its chain."""

    ca: str
    server: str

    @classmethod
    def create(cls) -> Self:
        """New ones."""
        authority = trustme.CA()
        server = authority.issue_cert("127.0.0.1", "::1", "localhost", "kubernetes.default.svc")
        chain = b"".join(blob.bytes() for blob in [server.private_key_pem, *server.cert_chain_pems])
        return cls(authority.cert_pem.bytes().decode(), chain.decode())

    @classmethod
    def kept_in(cls, directory: Path) -> Self:
        """Those of a directory, created there when it has none: a restarted process keeps its authority."""
        ca, server = (directory / name for name in _FILES)
        if not server.exists():
            directory.mkdir(parents=True, exist_ok=True)
            created = cls.create()
            ca.write_text(created.ca)
            server.touch(mode=0o600)
            server.write_text(created.server)
        return cls(ca.read_text(), server.read_text())

    def server_context(self, directory: Path) -> ssl.SSLContext:
        """The context to listen with; `directory` takes the key for the moment it is loaded."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = directory / "loading.pem"
        file.touch(mode=0o600)
        file.write_text(self.server)
        context.load_cert_chain(file)
        file.unlink()
        return context
