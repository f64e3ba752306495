"""The problems that the connector reports about objects, for the people who can fix them.

Each has an id in `PROBLEMS`, for filters and metrics. Ids never change. To report a new problem, add a line there and
run `make events`, which writes the table in docs/events.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

Severity = Literal["error", "warning", "info"]
"""`error`: the object is not served; `warning`: a part of it was lost; `info`: a value was changed to be valid."""

ProblemId: TypeAlias = str
"""A key of `PROBLEMS`; always written as a literal, so that scripts/events.py can check it."""


class Meaning(NamedTuple):
    """The meaning of an id, in a sentence, and what to do about it (empty: nothing)."""

    meaning: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One recorded problem.

    `object` names the object as its owner knows it (`InferenceService models/plain`), `message` says what is wrong,
    `remedy` what to do. `key` is that of the annotation, label or field that it is about, by which its line is found;
    empty if there is none.
    """

    id: ProblemId
    severity: Severity
    object: str
    message: str
    remedy: str
    key: str = field(default="", compare=False)

    def fields(self) -> dict[str, str]:
        """Return it as the fields of a log line."""
        return {"problem": self.id, "object": self.object, "fault": self.message, "remedy": self.remedy}


PROBLEMS: Final[Mapping[ProblemId, Meaning]] = {
    "annotation_unknown": Meaning(
        "An annotation is similar to one of the connector's, but unknown.", "Correct its spelling: docs/annotations.md."
    ),
    "api_type_unknown": Meaning("The API type is unknown; openapi is used.", "Use openapi, asyncapi, graphql or grpc."),
    "api_version_unknown": Meaning(
        "KServe does not have this version of the kind.", "Use the `apiVersion` that the message names."
    ),
    "card_too_long": Meaning(
        "A model card is longer than the limit and is cut.", "Shorten the readme in the registry."
    ),
    "catalog_model_incomplete": Meaning(
        "Only one of the two annotations that name a model of the catalog is set, so no card is read.",
        "Set both `rhdh.io/catalog-source` and `rhdh.io/catalog-model`, or neither.",
    ),
    "catalog_model_unknown": Meaning(
        "The model catalog has no card for the model that a deployment names.",
        "Write the source's id and the full name of the model as they are in the catalog.",
    ),
    "connection_changed": Meaning(
        "The connection of a deployment now has another location than when it was deployed.",
        "Deploy it again to use the new location.",
    ),
    "connection_forbidden": Meaning(
        "The Secret of a connection may not be read, so the location in it is unknown.",
        "Grant `get` on the Secret, or set `RESOLVE_CONNECTIONS=false`.",
    ),
    "connection_incomplete": Meaning(
        "A connection has no bucket, address, image or path.", "Add what the message names."
    ),
    "connection_missing": Meaning(
        "The Secret of a connection does not exist.", "Create the connection, or correct the annotation."
    ),
    "connection_name_invalid": Meaning(
        "The annotation for a connection is not the name of one Secret.", "Name one Secret, without a namespace."
    ),
    "connection_not_applied": Meaning(
        "The platform has not applied a connection, so no model is fetched.", "Remove the annotation and add it again."
    ),
    "connection_not_found_by_kserve": Meaning(
        "KServe cannot find a connection by its key.", "Set the labels and the annotation that the message names."
    ),
    "connection_type_deprecated": Meaning(
        "The type of a connection is set only by a deprecated annotation.", "Set the annotation that the message names."
    ),
    "connection_without_type": Meaning(
        "The type of a connection is not s3, uri or oci.", "Set the annotation that the message names."
    ),
    "credentials_removed": Meaning(
        "An address or a text contained credentials; they were removed.",
        "Remove them at the source too, and replace them: others may have read them.",
    ),
    "field_of_wrong_type": Meaning(
        "A field of a manifest has a type that the API server refuses.",
        "Write the field as the message says.",
    ),
    "field_repeated": Meaning(
        "An object of a manifest has a field more than once; the last one counts.", "Write it once."
    ),
    "field_unknown": Meaning(
        "A field of a manifest is unknown to KServe: it is misspelt or in the wrong place, and is not deployed.",
        "Correct its name or move it, as the message says. If the KServe of the cluster is newer and has it: nothing.",
    ),
    "file_unreadable": Meaning("A manifest cannot be read.", "Correct the file at the line that the message names."),
    "how_to_use_not_url": Meaning(
        "`How to use` is not a URL; it is shown as part of the usage.", "Write a URL, or use the field for usage."
    ),
    "internal_error": Meaning(
        "An object cannot be processed because of an internal error. Its entry is kept as it was.",
        "Please report it with the traceback in the log.",
    ),
    "invalid_address": Meaning(
        "An address in the status of a deployment is not an absolute URL.", "See the log of KServe's controller."
    ),
    "invalid_document": Meaning(
        "A stored document breaks the rules of the catalog.", "Correct the object that it was made from."
    ),
    "invalid_url": Meaning("A URL is invalid and is left out.", "Write an absolute URL, with a scheme."),
    "kind_not_read": Meaning("Objects of this kind are not read.", "Use an InferenceService of serving.kserve.io."),
    "kind_unknown": Meaning("KServe does not have this kind.", "Correct its spelling."),
    "kustomization_not_applied": Meaning(
        "A kustomization changes manifests; these changes are not applied.",
        "Render it: `kustomize build DIR | connector preview -`.",
    ),
    "label_not_read": Meaning(
        "An annotation of the connector is among the labels, or among the annotations of pods, and is not read.",
        "Write it below metadata.annotations.",
    ),
    "licence_unknown": Meaning(
        "A licence is neither a URL nor an SPDX identifier; it is shown as an annotation.", "Write the URL of its text."
    ),
    "location_not_url": Meaning(
        "The location of a model's files is not a URL.", "Give the artifact a URI in the registry."
    ),
    "model_missing": Meaning(
        "A deployment does not say which model it serves, so KServe refuses it.",
        "Add a model to `spec.predictor`, or `spec.model` to an LLMInferenceService.",
    ),
    "models_left_out": Meaning(
        "A server lists more models than are shown.", "Give the connector a key that may use fewer models."
    ),
    "name_taken": Meaning(
        "Another model already has this name; this one is shown with a suffix.", "Rename one of the two."
    ),
    "namespace_ambiguous": Meaning(
        "Several kustomizations give a manifest different namespaces.",
        "Render the right one: `kustomize build DIR | connector preview -`.",
    ),
    "namespace_missing": Meaning(
        "A manifest has no namespace; default is assumed.",
        "Write metadata.namespace, or use a kustomization.yaml.",
    ),
    "not_ready": Meaning(
        "A deployment is not ready or is stopped, and is not served.", "Nothing, if that is intended."
    ),
    "object_name_invalid": Meaning(
        "The name of an object is invalid in Kubernetes.", "Use lower-case letters, digits and '-'."
    ),
    "object_twice": Meaning("An object is in two files; the second one is used.", "Remove one of them."),
    "object_unreadable": Meaning(
        "A deployment does not match the API of its kind and is not served.",
        "Correct the field that the message names.",
    ),
    "objects_not_separated": Meaning(
        "Two objects are in one document of a manifest; only the last one is read.",
        "Write a line `---` between them.",
    ),
    "owner_changed": Meaning(
        "The owner is not a valid name; a similar one is shown.", "Write the name of a Backstage user or group."
    ),
    "owner_invalid": Meaning(
        "The owner is not a valid name; the default owner is shown.", "Write the name of a Backstage user or group."
    ),
    "part_of_an_object": Meaning(
        "A manifest contains only a part of an object, like a patch; it is ignored.",
        "Render it: `kustomize build DIR | connector preview -`.",
    ),
    "reference_invalid": Meaning(
        "A value is not the reference of a Backstage entity and is left out.", "Write it as kind:default/name."
    ),
    "registry_item_unusable": Meaning(
        "An object of a registry lacks required fields and is left out.", "Correct or delete it in the registry."
    ),
    "registry_named_twice": Meaning(
        "A registry is configured twice; the first entry is used.", "List each registry once, with a unique name."
    ),
    "registry_untrusted": Meaning(
        "A Route or Service outside the trusted namespaces is labelled as a registry; it is not read.",
        "Add its namespace to `MODEL_REGISTRY_NAMESPACES`, or remove the label.",
    ),
    "revision_failed": Meaning(
        "The latest revision of a deployment failed to load; the previous one answers.", "Correct or undo the change."
    ),
    "route_invalid": Meaning("The host of a Route is invalid.", "Correct spec.host of the Route."),
    "route_missing": Meaning(
        "A Route in `MR_ROUTE` does not exist.", "Write namespace:name of a Route, or remove `MR_ROUTE`."
    ),
    "second_deployment": Meaning(
        "A registered version is served by several deployments; this one is shown separately.", "Nothing."
    ),
    "several_storage_locations": Meaning(
        "A deployment has several storage locations; only the first is shown.", "List the most important one first."
    ),
    "storage_refused_by_kserve": Meaning(
        "The storage of a deployment is contradictory, and KServe refuses it.", "Correct it as the message says."
    ),
    "storage_scheme_unknown": Meaning(
        "KServe itself does not fetch models from locations with this scheme.",
        "Correct the scheme, unless a ClusterStorageContainer fetches it.",
    ),
    "storage_without_path": Meaning(
        "The storage of a deployment has no path, so KServe fetches no model.", "Add the path."
    ),
    "switch_unknown": Meaning(
        "A switch among the annotations or labels is neither true nor false, and has no effect.",
        'Write "true" or "false".',
    ),
    "tag_not_possible": Meaning(
        "A custom property cannot be converted to a valid tag.", "Use letters, digits, ':', '+', '#' and single '-'."
    ),
    "template_not_read": Meaning(
        "A file is a template, not a manifest.",
        "Render it first, for example: `helm template CHART | connector preview -`.",
    ),
    "value_not_text": Meaning("A label or annotation has a value that is not text.", "Write it in quotes."),
    "version_ambiguous": Meaning(
        "A deployment matches several registered versions.", "Name the version with the labels for it."
    ),
    "version_not_live": Meaning(
        "A deployment names a registered version that is archived or does not exist.",
        "Restore the version in the registry, or correct the label.",
    ),
    "without_name": Meaning("A manifest has no metadata.name.", "Give it a name."),
}
