"""The documents that the connector serves (JsonArrayFormat), in the schema "Model Catalog".

A `CatalogDocument` cannot contain what a Backstage catalog would reject or drop: the caller repairs the values first
(`common.backstage`) or gets a `pydantic.ValidationError` that names the field.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from common import backstage


class InvalidDocument(ValueError):
    """The bytes are not a JsonArrayFormat document; the message names the field."""


def _link(text: str) -> str:
    if not backstage.is_link(text):
        raise ValueError("an invalid URL: it must be absolute")
    return text


def _annotations(annotations: dict[str, str]) -> dict[str, str]:
    for key in annotations:
        if not backstage.is_annotation_key(key):
            raise ValueError(f"an invalid annotation key: {key!r}")
    return dict(sorted(annotations.items()))


Name = Annotated[str, StringConstraints(max_length=backstage.MAX_NAME, pattern=backstage.NAME_PATTERN)]
Tag = Annotated[str, StringConstraints(max_length=backstage.MAX_NAME, pattern=backstage.TAG_PATTERN)]
Link = Annotated[str, AfterValidator(_link)]
Text = Annotated[str, StringConstraints(min_length=1)]
Annotations = Annotated[dict[str, str], AfterValidator(_annotations)]


class _DocumentPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Api(_DocumentPart):
    """The API of a model server."""

    url: Link
    type: backstage.ApiType
    spec: Text
    tags: tuple[Tag, ...] = ()
    annotations: Annotations = {}


class ModelServer(_DocumentPart):
    """The server of the document's models; it always has an API.

    `owner` is the name of a user without a prefix: the reader adds `user:`.
    """

    name: Name
    owner: Name
    lifecycle: Text
    description: str
    api: Api = Field(alias="API")
    authentication: bool
    homepage_url: Link | None = Field(default=None, alias="homepageURL")
    tags: tuple[Tag, ...] = ()
    usage: Text | None = None
    annotations: Annotations = {}


class Model(_DocumentPart):
    """One model, in one version."""

    name: Name
    owner: Name
    lifecycle: Text
    description: str
    artifact_location_url: Link | None = Field(default=None, alias="artifactLocationURL")
    ethics: Text | None = None
    how_to_use_url: Link | None = Field(default=None, alias="howToUseURL")
    license: Link | None = None
    support: Text | None = None
    tags: tuple[Tag, ...] = ()
    training: Text | None = None
    usage: Text | None = None
    annotations: Annotations = {}


class CatalogDocument(_DocumentPart):
    """The document at one URI of the feed: a model version, and its server if there is one."""

    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    model_server: ModelServer | None = None

    def encode(self) -> bytes:
        """Return the document as JSON; equal documents give equal bytes, and absent fields are not written."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True).encode()

    def named(self, model_name: str, server_name: str | None) -> Self:
        """Return the document with other entity names; both must be valid."""
        model, *others = self.models
        server = self.model_server
        if model.name == model_name and (server is None or server.name == server_name):
            return self
        return self.model_copy(
            update={
                "models": (model.model_copy(update={"name": model_name}), *others),
                "model_server": server and server.model_copy(update={"name": server_name}),
            }
        )

    def marked(self, annotations: Mapping[str, str], tag: str) -> Self:
        """Return the document with additional annotations and a tag on its models, its server and the server's API."""

        def of(part: Model | ModelServer | Api) -> dict[str, Any]:
            return {
                "tags": tuple(sorted({*part.tags, tag})),
                "annotations": _annotations({**part.annotations, **annotations}),
            }

        update: dict[str, Any] = {"models": tuple(model.model_copy(update=of(model)) for model in self.models)}
        if (server := self.model_server) is not None:
            api = server.api.model_copy(update={"tags": of(server.api)["tags"]})
            update["model_server"] = server.model_copy(update={**of(server), "api": api})
        return self.model_copy(update=update)

    @classmethod
    def decode(cls, document: bytes | str) -> Self:
        """Return the document in JSON that `encode` returned.

        Raises:
            InvalidDocument: it is invalid; the text names each field.
        """
        try:
            return cls.model_validate_json(document)
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, f['loc'])) or 'document'}: {f['msg']}" for f in error.errors())
            raise InvalidDocument("; ".join(faults)) from error
