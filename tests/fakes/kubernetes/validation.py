"""What the API server refuses in an object: names, labels, annotations, and the rules of ConfigMaps and Secrets."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.kubernetes.resources import CONFIG_MAPS, SECRETS, ResourceType
from tests.fakes.kubernetes.status import ApiError, Cause, invalid

MAX_DATA_BYTES = 1_048_576
MAX_ANNOTATION_BYTES = 262_144

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    r" '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_CONFIG_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',"
    "  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


class UndecodableError(ApiError):
    """A field has a type or form its kind does not have: 400 in a create or update, 422 in a patch."""


def check_types(resource: ResourceType, metadata: Any) -> None:
    """Refuse metadata whose fields have other types than ObjectMeta's.

    Raises:
        UndecodableError: naming the field.
    """
    if not isinstance(metadata, dict):
        raise _undecodable(resource, "json: cannot unmarshal into Go struct field .metadata of type v1.ObjectMeta")
    for field in ("name", "namespace", "generateName", "resourceVersion", "uid"):
        if not isinstance(metadata.get(field, ""), str):
            raise _undecodable(resource, f"json: cannot unmarshal into Go struct field ObjectMeta.metadata.{field}")
    for field in ("labels", "annotations"):
        if not _is_string_map(metadata.get(field) or {}):
            raise _undecodable(resource, f"json: cannot unmarshal into Go struct field ObjectMeta.metadata.{field}")


def check(resource: ResourceType, body: Mapping[str, Any]) -> None:
    """Refuse an object that breaks the rules of its kind.

    Raises:
        UndecodableError: when a field has the wrong type.
        ApiError: 422 with every cause otherwise.
    """
    metadata = body["metadata"]
    causes = list(_metadata_faults(metadata))
    if resource.key == CONFIG_MAPS.key:
        causes += _config_map_faults(body)
    elif resource.key == SECRETS.key:
        causes += _size_faults(decoded(resource, body, "data").values())
    if causes:
        raise invalid(resource.group, resource.kind, metadata["name"], causes)


def decoded(resource: ResourceType, body: Mapping[str, Any], field: str) -> dict[str, bytes]:
    """The binary values of a field.

    Raises:
        UndecodableError: when the values are no base64.
    """
    texts = body.get(field) or {}
    if not _is_string_map(texts):
        raise _undecodable(resource, f"json: cannot unmarshal into Go struct field {resource.kind}.{field}")
    try:
        return {key: base64.b64decode(text, validate=True) for key, text in texts.items()}
    except (binascii.Error, ValueError) as error:
        raise _undecodable(resource, "illegal base64 data at input byte 0") from error


def _is_string_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _undecodable(resource: ResourceType, why: str) -> UndecodableError:
    kind = resource.kind
    return UndecodableError(400, f'{kind} in version "{resource.versions[0]}" cannot be handled as a {kind}: {why}')


def _metadata_faults(metadata: Mapping[str, Any]) -> Iterator[Cause]:
    name = metadata["name"]
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        yield _invalid_value("metadata.name", name, _SUBDOMAIN_RULE)
    for key, value in (metadata.get("labels") or {}).items():
        if not _is_qualified(key):
            yield _invalid_value("metadata.labels", key, "name part must consist of alphanumeric characters")
        if len(value) > 63 or not _LABEL_VALUE.fullmatch(value):
            rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
            yield _invalid_value("metadata.labels", value, rule)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if not _is_qualified(key.lower()):
            yield _invalid_value("metadata.annotations", key, "name part must consist of alphanumeric characters")
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > MAX_ANNOTATION_BYTES:
        yield _too_long("metadata.annotations", MAX_ANNOTATION_BYTES)


def _is_qualified(key: str) -> bool:
    return bool(_QUALIFIED_KEY.fullmatch(key)) and len(key.rpartition("/")[2]) <= 63


def _config_map_faults(body: Mapping[str, Any]) -> list[Cause]:
    data = body.get("data") or {}
    if not _is_string_map(data):
        why = "json: cannot unmarshal number into Go struct field ConfigMap.data of type string"
        raise _undecodable(CONFIG_MAPS, why)
    binary = decoded(CONFIG_MAPS, body, "binaryData")
    causes = []
    for field, values in (("data", data), ("binaryData", binary)):
        causes += [cause for key in values for cause in _key_faults(field, key)]
    for key in data.keys() & binary.keys():
        causes.append(_invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
    return causes + _size_faults([value.encode() for value in data.values()] + list(binary.values()))


def _key_faults(field: str, key: str) -> Iterator[Cause]:
    if len(key) > 253:
        yield _invalid_value(f"{field}[{key}]", key, "must be no more than 253 characters")
    if not _CONFIG_KEY.fullmatch(key):
        yield _invalid_value(f"{field}[{key}]", key, _CONFIG_KEY_RULE)
    elif key.startswith("..") or key == ".":
        yield _invalid_value(f"{field}[{key}]", key, f"must not be '{key}'")


def _size_faults(values: Any) -> list[Cause]:
    total = sum(len(value) for value in values)
    return [_too_long("[]", MAX_DATA_BYTES)] if total > MAX_DATA_BYTES else []


def _too_long(field: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def _invalid_value(field: str, value: str, rule: str) -> Cause:
    return Cause("FieldValueInvalid", f'Invalid value: "{value}": {rule}', field)
