"""Reads credentials from kubeconfig files as kubectl does: tokens, client certificates, exec plugins, OIDC."""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
import yaml
from kubernetes_asyncio import config
from kubernetes_asyncio.client import Configuration

from common import texts
from common.kube.credentials import Credentials, CredentialsError
from common.trust import TrustError, read_authority, system_trust, trust_only

log = structlog.get_logger("kubeconfig")


async def load_kubeconfig(paths: Sequence[Path], *, namespace: str | None, context: str | None = None) -> Credentials:
    """Return the credentials of a context, by default the current one; `namespace` overrides the context's.

    Raises:
        CredentialsError: the files cannot be read, are incomplete, or need something that is not supported.
    """
    login = _Login(":".join(map(str, paths)), context)
    await login.load()
    if not login.verified:
        log.warning(
            "api_server_not_verified",
            server=login.server,
            remedy="add certificate-authority to the cluster's entry in the kubeconfig",
        )
    return Credentials(
        server=login.server,
        token=login.bearer_token,
        ssl=login.ssl or True,
        namespace=namespace or login.namespace,
        origin=f"context {login.context} of {login.files}",
        refused=f"the credentials of context {login.context} in {login.files} are not, or no longer, valid: log in "
        "again; the connector reads them again by itself",
        renew=login.renew,
        distrusted=f"the certificate-authority of context {login.context} in {login.files} is not the one of this API "
        "server",
    )


def contexts_of(paths: Sequence[Path]) -> list[str]:
    """Return the names of the contexts in kubeconfig files.

    Raises:
        CredentialsError: the files cannot be read.
    """
    found: list[str] = []
    for path in paths:
        try:
            contexts = (yaml.safe_load(texts.read_file(path)) or {}).get("contexts") or ()
            found += [str(context["name"]) for context in contexts]
        except texts.UnreadableFile as error:
            raise CredentialsError(f"kubeconfig {error}") from error
        except Exception as error:  # PyYAML may raise anything for what is no kubeconfig
            raise _unusable(str(path), error) from error
    return found


def _unusable(files: str, error: Exception) -> CredentialsError:
    """Return the error of kubeconfig files that cannot be used, in one line."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        return CredentialsError(f"kubeconfig {files}: it is not valid YAML{where}: {error.problem or 'it is cut off'}")
    text = " ".join(str(error).split()) or type(error).__name__
    return CredentialsError(f"kubeconfig {files}: {text}", "to see its contexts: kubectl config get-contexts")


class _Login:
    """The current content of one context; a renewal reads the files again, for new tokens of `oc login` and plugins."""

    def __init__(self, files: str, context: str | None) -> None:
        self.files = files
        self.context = context
        self.namespace: str | None = None
        self.server = ""
        self.verified = True
        self.ssl: ssl.SSLContext | None = None
        self._token = ""
        self._lock = asyncio.Lock()

    def bearer_token(self) -> str | None:
        return self._token or None

    async def renew(self) -> bool:
        """Read everything again and return whether the token has changed."""
        refused = self._token
        async with self._lock:
            if self._token == refused:
                await self.load()
        return self._token != refused

    async def load(self) -> None:
        configuration = Configuration()
        try:
            # The context never changes later: switching kubectl to another cluster must not affect this process.
            loader = await config.load_kube_config(self.files, context=self.context, client_configuration=configuration)
            context: dict[str, Any] = loader.current_context or {}
            authorization = configuration.api_key.get("BearerToken", "")
            _refuse_unsupported(configuration, authorization)
            if self.server not in ("", configuration.host):
                raise CredentialsError(f"context {self.context} now has another server: restart the process")
            self.server = configuration.host or ""
            self.verified = configuration.verify_ssl
            if self.server.startswith("https:"):
                self.ssl = self._trust(configuration)
        except (CredentialsError, TrustError) as error:
            raise CredentialsError(f"kubeconfig {self.files}: {error}") from error
        except Exception as error:  # plugins and token refreshes may raise anything
            raise _unusable(self.files, error) from error
        self.context = context["name"]
        self.namespace = context["context"].get("namespace")
        self._token = authorization.removeprefix("Bearer ").strip()

    def _trust(self, configuration: Configuration) -> ssl.SSLContext:
        # The HTTP client keeps using the first context, so a renewed client certificate is loaded into it.
        context = self.ssl
        if context is None:
            authority = configuration.ssl_ca_cert
            context = (
                trust_only(read_authority("the certificate authority", Path(authority)))
                if authority
                else system_trust()
            )
            if not configuration.verify_ssl:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        return context


def _refuse_unsupported(configuration: Configuration, authorization: str) -> None:
    if authorization.startswith("Basic "):
        raise CredentialsError(
            "Kubernetes has not accepted user names with passwords since 1.19: "
            "use a token, a client certificate or an exec plugin"
        )
    for setting in ("tls_server_name", "proxy"):
        if getattr(configuration, setting):
            written = {"tls_server_name": "tls-server-name", "proxy": "proxy-url"}[setting]
            raise CredentialsError(f"the cluster's entry contains {written}, which the connector does not support")
