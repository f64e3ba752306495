"""The file that says which clusters are followed (CLUSTERS_FILE): what may stand in it, and where it is wrong."""

import base64
import binascii
import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from common.settings import NamedUrl, Url
from services.normalizer.normalize.owners import entity_reference, parse_owner

_RESERVED_IDS = frozenset({"shared", "manifests"})
_LARGEST = 1024 * 1024


class ClustersFileError(Exception):
    """The file cannot be used; the text names file, line and field, and what is expected."""


def _encrypted(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise ValueError("expected https: the token would be sent in clear")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _certificate(text: str) -> str:
    if "-----BEGIN" in text:
        return text
    try:
        pem = base64.b64decode(text, validate=False).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        pem = ""
    if "-----BEGIN" not in pem:
        raise ValueError("expected a certificate in PEM form, or its base64 as in a kubeconfig")
    return pem


def _system(text: str) -> str:
    if (reference := entity_reference(text, kind="system")) is None:
        raise ValueError("expected the name of a Backstage System, or system:namespace/name")
    return reference


def _owner(text: str) -> str:
    if parse_owner(text) is None:
        raise ValueError("expected an owner such as ml-team, or group:default/ml-team")
    return text


def _plain_id(text: str) -> str:
    if text in _RESERVED_IDS:
        raise ValueError(f"{text!r} is taken: choose another one")
    return text


ClusterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
ClusterId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$"), AfterValidator(_plain_id)]
EncryptedUrl = Annotated[Url, AfterValidator(_encrypted)]
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class ClusterEntry(_Part):
    """One cluster. Without `kubeconfig` and `url` it is the one that the connector runs in."""

    name: ClusterName = Field(
        description="What entries, conditions and metrics call it: lower-case letters, digits and hyphens, at most 40."
    )
    id: ClusterId | None = Field(
        None,
        description="What its entries are stored under; default: its API server's address. Write the former one here "
        "when that address changes, so that the entries are kept.",
    )
    kubeconfig: Path | None = Field(None, description="A kubeconfig file, relative to this one.")
    context: str | None = Field(None, description="The context in it; default: the current one.")
    url: EncryptedUrl | None = Field(None, description="The address of its API server, instead of a kubeconfig.")
    token_file: Path | None = Field(None, description="With url: a file with the token; read again when it changes.")
    ca_file: Path | None = Field(None, description="With url: a file with the API server's CA; default: the system's.")
    ca_data: Annotated[str, AfterValidator(_certificate)] | None = Field(
        None, description="The same as text: PEM, or its base64."
    )
    namespaces: tuple[Namespace, ...] = Field((), description="Follow these only; default: all.")
    default_owner: Annotated[str, AfterValidator(_owner)] | None = Field(
        None, description="Owner where none is given; default: DEFAULT_OWNER."
    )
    default_lifecycle: str | None = Field(
        None, description="Lifecycle where none is given; default: DEFAULT_LIFECYCLE."
    )
    system: Annotated[str, AfterValidator(_system)] | None = Field(
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
    def _check_way(self) -> Self:
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


class SharedRegistry(_Part):
    """A model registry that describes deployments of all clusters."""

    url: EncryptedUrl = Field(description="The root of its server.")
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = Field(
        None, description="What messages call it; default: its address."
    )
    token_file: Path | None = Field(None, description="A file with its token; no other token is ever sent to it.")
    ca_file: Path | None = Field(None, description="A file with its CA; default: the system's.")


class ClustersFile(_Part):
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
    """Return what a file says, with paths in it made absolute.

    Raises:
        ClustersFileError: it cannot be read, or something in it is wrong.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ClustersFileError(f"CLUSTERS_FILE {path} cannot be read: {error}") from error
    if len(text) > _LARGEST:
        raise ClustersFileError(f"CLUSTERS_FILE {path} is larger than {_LARGEST} bytes")
    return parse_clusters(text, path)


def parse_clusters(text: str, path: Path) -> ClustersFile:
    """Return what the text of a file says; `path` is where it is from.

    Raises:
        ClustersFileError: something in it is wrong.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(root)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ClustersFileError(f"CLUSTERS_FILE {path}{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ClustersFileError(f"CLUSTERS_FILE {path}: not YAML: {type(error).__name__}: {error}") from None
    try:
        found = ClustersFile.model_validate(value if value is not None else {})
    except ValidationError as error:
        faults = [_fault(root, fault["loc"], _message(fault)) for fault in _told(error)]
        raise ClustersFileError(f"CLUSTERS_FILE {path}, " + "; ".join(dict.fromkeys(faults))) from None
    return _absolute(found, path.parent)


def _told(error: ValidationError) -> Sequence[Mapping[str, Any]]:
    """Return the faults that say something: a list whose items are wrong is not too short because of that."""
    faults = error.errors(include_url=False, include_context=False)
    return [fault for fault in faults if fault["type"] != "too_short"] or faults


def _message(fault: Mapping[str, Any]) -> str:
    """Return in plain words what is wrong with a field."""
    messages = {
        "missing": "this field is missing",
        "extra_forbidden": "there is no such field; see docs/clusters.md for those that there are",
        "tuple_type": "expected a list",
        "model_type": "expected fields with values",
        "dict_type": "expected fields with values",
        "string_type": "expected a text",
        "string_pattern_mismatch": "expected lower-case letters, digits and hyphens, not too many of them",
        "too_short": "expected at least one",
    }
    return messages.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))


def _fault(root: yaml.Node | None, loc: Sequence[int | str], message: str) -> str:
    """Return one fault with its line and field, `line 4, clusters[0].url: ...`."""
    node, field = root, ""
    for step in loc:
        inner = _inner(node, step)
        if inner is None and not _names_field(step):
            continue  # pydantic's own names for the members of a union
        node = inner or node
        field += f"[{step}]" if isinstance(step, int) else f".{step}" if field else str(step)
    line = node.start_mark.line + 1 if node is not None else 1
    return f"line {line}, {field or 'the file'}: {message}"


def _names_field(step: int | str) -> bool:
    return isinstance(step, int) or step.isidentifier()


def _inner(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((key if _is_scalar(value) else value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)


def _refuse_repeated_keys(node: yaml.Node | None) -> None:
    """Refuse what YAML forbids and its reader takes: of two equal keys it would keep the last."""
    for mapping in _mappings(node, set()):
        seen: set[str] = set()
        for key, _ in mapping.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)


def _mappings(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.MappingNode]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mappings(item, seen)


def _absolute(file: ClustersFile, folder: Path) -> ClustersFile:
    """Return the same with the paths in it taken from the file's folder."""

    def update(part: _Part) -> dict[str, Any]:
        return {
            name: folder / value for name in type(part).model_fields if isinstance(value := getattr(part, name), Path)
        }

    return file.model_copy(
        update={
            "clusters": tuple(each.model_copy(update=update(each)) for each in file.clusters),
            "shared_registries": tuple(each.model_copy(update=update(each)) for each in file.shared_registries),
        }
    )
