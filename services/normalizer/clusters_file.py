"""The file that says which clusters are followed (CLUSTERS_FILE): its fields, and how it is read."""

import asyncio
import base64
import binascii
import hashlib
import ipaddress
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from common import texts
from common.setting_types import NamedUrl, Url
from services.normalizer.normalize.owners import entity_reference, parse_owner
from services.normalizer.sink import Intake
from services.normalizer.validated_yaml import InvalidYamlError, parse

log = structlog.get_logger("clusters")

CLUSTERS_FILE: Final = "CLUSTERS_FILE"
"""The variable, and a placeholder for all clusters until the file was read once."""
LOOK = 5.0
"""Seconds between two reads of the file, and of those that it names."""
_RESERVED_IDS = frozenset({"shared", "manifests"})
_LARGEST = 1024 * 1024

Stamp = bytes | None
"""The digest of a file, None while there is no file; in a mounted Secret all files are replaced when one changes."""


class ClustersFileError(Exception):
    """The file cannot be used; the text names file, line and field, and what is expected."""


def _check_encrypted(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ValueError("expected https: the token would be sent in clear")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_certificate(text: str) -> str:
    if "-----BEGIN" in text:
        return text
    try:
        pem = base64.b64decode(text, validate=False).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        pem = ""
    if "-----BEGIN" not in pem:
        raise ValueError("expected a certificate in PEM form, or its base64 as in a kubeconfig")
    return pem


def _read_system(text: str) -> str:
    if (reference := entity_reference(text, kind="system")) is None:
        raise ValueError("expected the name of a Backstage System, or system:namespace/name")
    return reference


def _check_owner(text: str) -> str:
    if parse_owner(text) is None:
        raise ValueError("expected an owner such as ml-team, or group:default/ml-team")
    return text


def _check_id(text: str) -> str:
    if text in _RESERVED_IDS:
        raise ValueError(f"{text!r} is taken: choose another one")
    return text


_ClusterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
_ClusterId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$"), AfterValidator(_check_id)]
_EncryptedUrl = Annotated[Url, AfterValidator(_check_encrypted)]
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class ClusterEntry(_Strict):
    """One cluster; without `kubeconfig` and `url` it is the one that the connector runs in."""

    name: _ClusterName = Field(
        description="What entries, conditions and metrics call it: lower-case letters, digits and hyphens, at most 40."
    )
    id: _ClusterId | None = Field(
        None,
        description="What its entries are stored under; default: its API server's address. Write the former one here "
        "when that address changes, so that the entries are kept.",
    )
    kubeconfig: Path | None = Field(None, description="A kubeconfig file, relative to this one.")
    context: str | None = Field(None, description="The context in it; default: the current one.")
    url: _EncryptedUrl | None = Field(None, description="The address of its API server, instead of a kubeconfig.")
    token_file: Path | None = Field(None, description="With url: a file with the token; read again when it changes.")
    ca_file: Path | None = Field(None, description="With url: a file with the API server's CA; default: the system's.")
    ca_data: Annotated[str, AfterValidator(_read_certificate)] | None = Field(
        None, description="The same as text: PEM, or its base64."
    )
    namespaces: tuple[Namespace, ...] = Field((), description="Follow these only; default: all.")
    default_owner: Annotated[str, AfterValidator(_check_owner)] | None = Field(
        None, description="Owner where none is given; default: DEFAULT_OWNER."
    )
    default_lifecycle: str | None = Field(
        None, description="Lifecycle where none is given; default: DEFAULT_LIFECYCLE."
    )
    system: Annotated[str, AfterValidator(_read_system)] | None = Field(
        None, description="The Backstage System of its models where none is given."
    )
    dashboard_url: Url | None = Field(None, description="Its OpenShift AI dashboard, for links to its pages.")
    registries: Literal["discovered", "none"] | tuple[NamedUrl, ...] = Field(
        "discovered", description="Its model registries: found in the cluster, none, or these (URL or name=URL)."
    )
    registry_namespaces: tuple[Namespace, ...] | None = Field(
        None, description="Registries in these namespaces are read; default: MODEL_REGISTRY_NAMESPACES."
    )
    registry_token_file: Path | None = Field(
        None, description="A file with the token for its registries; default: the token for its API server."
    )

    @property
    def is_own(self) -> bool:
        """Whether it is the cluster that the connector runs in."""
        return self.kubeconfig is None and self.url is None

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.kubeconfig is not None and self.url is not None:
            raise ValueError("expected kubeconfig or url, not both")
        if self.context is not None and self.kubeconfig is None:
            raise ValueError("context is a part of a kubeconfig: name that too")
        if self.url is None and (self.token_file or self.ca_file or self.ca_data):
            raise ValueError("tokenFile, caFile and caData belong to url: name that too")
        if self.url is not None and self.token_file is None:
            raise ValueError("url needs tokenFile")
        if self.ca_file is not None and self.ca_data is not None:
            raise ValueError("expected caFile or caData, not both")
        return self


class SharedRegistry(_Strict):
    """A model registry that describes deployments of all clusters."""

    url: _EncryptedUrl = Field(description="The root of its server.")
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = Field(
        None, description="What messages call it; default: its address."
    )
    token_file: Path | None = Field(None, description="A file with its token; no other token is ever sent to it.")
    ca_file: Path | None = Field(None, description="A file with its CA; default: the system's.")


class ClustersFile(_Strict):
    """The clusters that the connector follows: these, and no others."""

    clusters: Annotated[tuple[ClusterEntry, ...], Field(min_length=1)] = Field(
        description="All clusters, the connector's own too if it is to be followed."
    )
    shared_registries: tuple[SharedRegistry, ...] = Field(
        (), description="Registries that describe deployments of all clusters."
    )

    @model_validator(mode="after")
    def _check_distinct(self) -> Self:
        for what, found in (
            ("name", [each.name for each in self.clusters]),
            ("id", [each.id for each in self.clusters if each.id]),
            ("url", [each.url.lower().rstrip("/") for each in self.clusters if each.url]),
            ("context", [f"{each.context} of {each.kubeconfig}" for each in self.clusters if each.kubeconfig]),
        ):
            if repeated := [each for each, count in Counter(found).items() if count > 1]:
                raise ValueError(f"two clusters have the same {what}: {', '.join(repeated)}")
        if sum(each.is_own for each in self.clusters) > 1:
            raise ValueError("two clusters have neither kubeconfig nor url: only the connector's own may")
        return self


def read_clusters(path: Path) -> ClustersFile:
    """Return what the file says, with absolute paths.

    Raises:
        ClustersFileError: it cannot be read, or something in it is wrong.
    """
    try:
        text = texts.read_file(path)
    except texts.UnreadableFile as error:
        raise ClustersFileError(f"CLUSTERS_FILE {error}") from error
    if len(text) > _LARGEST:
        raise ClustersFileError(f"CLUSTERS_FILE {path} is larger than {_LARGEST} bytes")
    return parse_clusters(text, path)


def parse_clusters(text: str, path: Path) -> ClustersFile:
    """Return what the text of the file at `path` says.

    Raises:
        ClustersFileError: something in it is wrong.
    """
    try:
        return _absolute(parse(ClustersFile, text), path.parent)
    except InvalidYamlError as error:
        raise ClustersFileError(f"CLUSTERS_FILE {path}{error}") from None


def _absolute(file: ClustersFile, folder: Path) -> ClustersFile:
    """Return the file with its relative paths resolved against its folder."""

    def update(part: _Strict) -> dict[str, Any]:
        return {
            name: folder / value for name in type(part).model_fields if isinstance(value := getattr(part, name), Path)
        }

    return file.model_copy(
        update={
            "clusters": tuple(each.model_copy(update=update(each)) for each in file.clusters),
            "shared_registries": tuple(each.model_copy(update=update(each)) for each in file.shared_registries),
        }
    )


def stamp(path: Path) -> Stamp:
    """Return the digest of a file."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None


async def follow_file(path: Path, *, use: Callable[[ClustersFile], None], intake: Intake) -> None:
    """Call `use` with what the file says, every few seconds because files that it names may change, until cancelled.

    While the file is invalid, what it said last is used, and a condition says where it is wrong.
    """
    good: ClustersFile | None = None
    read: list[Stamp] = []
    while True:
        if read != [now := stamp(path)]:
            read = [now]
            try:
                good = read_clusters(path)
            except ClustersFileError as error:
                follows = "the clusters that it named before are followed" if good else "nothing is followed yet"
                log.error("clusters_file_unusable", fault=str(error), remedy=f"correct it; {follows}")
                intake.conditions.set_named(CLUSTERS_FILE, ok=False, reason=f"{error}; {follows}")
            else:
                log.info("clusters_configured", names=[entry.name for entry in good.clusters])
                intake.conditions.set_named(CLUSTERS_FILE, ok=True, reason="")
                intake.stop_awaiting_cluster(CLUSTERS_FILE)
        if good is not None:
            use(good)
        await asyncio.sleep(LOOK)
