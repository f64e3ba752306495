"""Problems: what is wrong with an object, for the person who can fix it.

Each has an id of `PROBLEMS`, for filters and metrics. Ids never change. To report something new, add a line there and
run `make events`, which writes the table in docs/events.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

Severity = Literal["error", "warning", "info"]
"""`error`: the object is not served; `warning`: something of it was lost; `info`: it was changed to fit."""

ProblemId: TypeAlias = str
"""A key of `PROBLEMS`. What has this type is written out where it is given, so that scripts/events.py can check it."""


class Meaning(NamedTuple):
    """What an id stands for, in a sentence, and what to do about it; no remedy where nothing needs to be done."""

    meaning: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One recorded problem.

    `object` names the thing as its owner knows it (`InferenceService models/plain`), `message` says what is wrong with
    it, `remedy` what to do there.
    """

    id: ProblemId
    severity: Severity
    object: str
    message: str
    remedy: str

    def fields(self) -> dict[str, str]:
        """Return the fields of a log line about it."""
        return {"problem": self.id, "object": self.object, "fault": self.message, "remedy": self.remedy}


PROBLEMS: Final[Mapping[ProblemId, Meaning]] = {
    "annotation_unknown": Meaning(
        "An annotation looks like one of the connector's and is not.", "Correct its spelling: docs/annotations.md."
    ),
    "api_type_unknown": Meaning("The API type is unknown; openapi is used.", "Use openapi, asyncapi, graphql or grpc."),
    "api_version_unknown": Meaning(
        "KServe has no such version of this kind.", "Write the `apiVersion` that the message names."
    ),
    "card_too_long": Meaning(
        "A model card is longer than the limit and is cut.", "Shorten the readme in the registry."
    ),
    "catalog_model_incomplete": Meaning(
        "Only one of the two annotations is set that name a model of the catalog, so no card is looked for.",
        "Set `rhdh.io/catalog-source` and `rhdh.io/catalog-model`, or neither.",
    ),
    "catalog_model_unknown": Meaning(
        "The model catalog was read and has no card of the model that a deployment names.",
        "Write the source's id and the model's whole name as the catalog has them.",
    ),
    "connection_changed": Meaning(
        "The connection of a deployment leads to another location than the one it was deployed with.",
        "Deploy it again to use the new location.",
    ),
    "connection_forbidden": Meaning(
        "The Secret of a connection may not be read, so the location in it is unknown.",
        "Grant `get` on the Secret, or set `RESOLVE_CONNECTIONS=false`.",
    ),
    "connection_incomplete": Meaning(
        "A connection lacks a bucket, an address, an image or a path.", "Add what the message names."
    ),
    "connection_missing": Meaning(
        "There is no Secret with the name of the connection.", "Create the connection, or correct the annotation."
    ),
    "connection_name_invalid": Meaning(
        "The annotation for a connection does not hold the name of one Secret.", "Name one Secret, without a namespace."
    ),
    "connection_not_applied": Meaning(
        "The platform has not applied a connection, so no model is fetched.", "Remove the annotation and add it again."
    ),
    "connection_not_found_by_kserve": Meaning(
        "KServe does not find a connection by its key.", "Set the labels and the annotation that the message names."
    ),
    "connection_type_deprecated": Meaning(
        "The type of a connection is set by a deprecated annotation only.", "Set the annotation that the message names."
    ),
    "connection_without_type": Meaning(
        "The type of a connection is not s3, uri or oci.", "Set the annotation that the message names."
    ),
    "credentials_removed": Meaning(
        "An address or a text held credentials; they were removed.",
        "Remove them at the source too, and replace them: others may have read them.",
    ),
    "field_of_wrong_type": Meaning(
        "A field of a manifest has a value of a type that the API server refuses.",
        "Write the field as the message says.",
    ),
    "file_unreadable": Meaning("A manifest cannot be read.", "Correct the file in the line that the message names."),
    "how_to_use_not_url": Meaning(
        "How to use a model is not a URL; it is shown as part of the usage.", "Write a URL, or use the field for usage."
    ),
    "internal_error": Meaning(
        "An object cannot be processed because of an internal error. Its entry is kept as it was.",
        "Please report it with the traceback in the log.",
    ),
    "invalid_address": Meaning(
        "An address in the status of a deployment is not an absolute URL.", "Look into the log of KServe's controller."
    ),
    "invalid_document": Meaning(
        "A stored document breaks the rules of the catalog.", "Correct it where it is written."
    ),
    "invalid_url": Meaning("A URL is invalid and is left out.", "Write an absolute URL, with a scheme."),
    "kind_not_read": Meaning("Objects of this kind are not read.", "Use an InferenceService of serving.kserve.io."),
    "kind_unknown": Meaning("KServe has no such kind.", "Correct its spelling."),
    "kustomization_not_applied": Meaning(
        "A kustomization changes manifests, and these changes are not applied here.",
        "Render it: `kustomize build DIR | connector preview -`.",
    ),
    "licence_unknown": Meaning(
        "A licence is neither a URL nor an SPDX identifier; it is kept as an annotation.", "Write the URL of its text."
    ),
    "location_not_url": Meaning(
        "The location of a model's files is not a URL.", "Give the artifact a URI in the registry."
    ),
    "models_left_out": Meaning(
        "A server lists more models than are shown.", "Give the connector a key that is allowed fewer models."
    ),
    "name_taken": Meaning(
        "Another model has the same name already; this one is shown with a suffix.", "Rename one of the two."
    ),
    "namespace_ambiguous": Meaning(
        "Several kustomizations give a manifest different namespaces.",
        "Render the one you mean: `kustomize build DIR | connector preview -`.",
    ),
    "not_ready": Meaning(
        "A deployment is not ready or is stopped, and is not served.", "Nothing, if that is intended."
    ),
    "object_name_invalid": Meaning(
        "A cluster would refuse the name of this object.", "Use lower-case letters, digits and '-'."
    ),
    "object_twice": Meaning("An object is in two files; the latter counts.", "Remove one of them."),
    "object_unreadable": Meaning(
        "A deployment does not match the API of its kind and is not served.", "Compare it with the API of its kind."
    ),
    "owner_changed": Meaning(
        "The owner is shown in another form than it was written in.", "Write the name of a Backstage user or group."
    ),
    "owner_invalid": Meaning(
        "The owner is not a valid name; the default owner is shown.", "Write the name of a Backstage user or group."
    ),
    "part_of_an_object": Meaning(
        "A manifest holds only a part of an object, as a patch does; it is ignored.",
        "Render it: `kustomize build DIR | connector preview -`.",
    ),
    "reference_invalid": Meaning(
        "A reference is not the name of a Backstage entity and is left out.", "Write it as kind:default/name."
    ),
    "registry_item_unusable": Meaning(
        "An object of a registry lacks required fields and is left out.", "Correct or delete it in the registry."
    ),
    "registry_named_twice": Meaning(
        "A registry is configured twice; the first entry counts.", "Name each registry once, with a name of its own."
    ),
    "registry_untrusted": Meaning(
        "A Route or Service outside the trusted namespaces is labelled as a registry; it is not read.",
        "Add its namespace to `MODEL_REGISTRY_NAMESPACES`, or remove the label.",
    ),
    "revision_failed": Meaning(
        "The latest revision of a deployment failed to load; the one before it answers.", "Correct the model, or undo."
    ),
    "route_invalid": Meaning("The host of a Route is invalid.", "Correct spec.host of the Route."),
    "route_missing": Meaning(
        "A Route in `MR_ROUTE` does not exist.", "Write namespace:name of a Route, or remove `MR_ROUTE`."
    ),
    "second_deployment": Meaning(
        "A registered version is served by several deployments; this one is shown by itself.", "Nothing."
    ),
    "several_storage_locations": Meaning(
        "A deployment has several storage locations; only the first is shown.", "Write the most important one first."
    ),
    "storage_refused_by_kserve": Meaning(
        "The storage of a deployment contradicts itself, and KServe refuses it.", "Correct it as the message says."
    ),
    "storage_without_path": Meaning(
        "The storage of a deployment has no path, so KServe fetches no model.", "Add the path."
    ),
    "tag_not_possible": Meaning(
        "No valid tag can be made of a custom property.", "Use letters, digits, ':', '+', '#' and single '-'."
    ),
    "template_not_read": Meaning(
        "A file is a template, not a manifest.", "Render it first: `helm template CHART | connector preview -`."
    ),
    "value_not_text": Meaning("A label or annotation has a value that is not text.", "Write it in quotes."),
    "version_ambiguous": Meaning(
        "A deployment could serve one of several registered versions.", "Name the version with the labels for it."
    ),
    "version_not_live": Meaning(
        "A deployment names a registered version that is archived or does not exist.",
        "Restore the version in the registry, or correct the label.",
    ),
    "without_name": Meaning("A manifest has no metadata.name.", "Give it a name."),
}
