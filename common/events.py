"""Every event that is logged, by its id: what it means, and what to do about it.

A log line has the id as `event`, the values in fields of their own, and the meaning as `message`, which common/logs.py
adds. Ids never change: dashboards and alerts search for them. To log something new, add a line here and run
`make events`, which writes the table in docs/events.md.
"""

from collections.abc import Mapping
from typing import Final

from common.problems import Meaning

EVENTS: Final[Mapping[str, Meaning]] = {
    "api_server_not_verified": Meaning(
        "The certificate of the API server is not verified, because the kubeconfig says insecure-skip-tls-verify.",
        "Add certificate-authority to the cluster's entry in the kubeconfig.",
    ),
    "backstage_key_unusable": Meaning(
        "One of the keys that Backstage publishes cannot be used; tokens that it signed are refused.",
        "Only ES256 keys are accepted: check the answer of `BACKSTAGE_JWKS_URL`.",
    ),
    "backstage_keys_unreadable": Meaning(
        "The keys that verify Backstage's service tokens cannot be read; the former keys remain in use.",
        "Check that `BACKSTAGE_JWKS_URL` can be reached from the pod and returns a JWKS.",
    ),
    "cache_damaged": Meaning(
        "Documents are missing from the cache. Nothing is served until it is known to be complete again.",
        "Wait until every source has been read, or accept the loss: `connector removals accept`.",
    ),
    "cache_file_damaged": Meaning(
        "The file of the cache cannot be read completely. The readable part is used and the file is copied aside.",
        "See the field `kept_as`; the sources fill the cache again.",
    ),
    "cache_loaded": Meaning("storage-rest has read its cache."),
    "cache_not_written": Meaning(
        "The cache cannot be written. Changes are kept in memory and written later.",
        "See the field `error`. Usual causes: no right to patch ConfigMaps, a full disk, an API server that is down.",
    ),
    "cache_writable_again": Meaning("The cache is written again."),
    "card_not_fetched": Meaning(
        "A model card on another host cannot be fetched. The former card is shown, or a note.",
        "Check that the address can be reached from the pod, and that its host is in `FETCH_CARDS_HOSTS`.",
    ),
    "card_not_processed": Meaning(
        "Model cards cannot be processed because of an internal error. They are kept as they were.",
        "Please report it with the traceback.",
    ),
    "card_too_long": Meaning("A model card is longer than the limit and is cut.", "Shorten its readme in the catalog."),
    "card_unreadable": Meaning(
        "A model catalog fails for one model, but answers for others. The card is kept as it was.",
        "See the catalog's log.",
    ),
    "certificate_not_verified": Meaning(
        "The certificate of a registry is not verified: another server could pretend to be it and receive the token.",
        "Remove it from `MODEL_REGISTRY_INSECURE` and set its authority in `MODEL_REGISTRY_CA_FILE`.",
    ),
    "cluster_found": Meaning("The credentials for the API server were found."),
    "cluster_gone": Meaning(
        "A cluster is no longer configured. Its entries are removed after `SOURCE_GONE_GRACE`.",
        "Nothing, if this is intended.",
    ),
    "cluster_unreadable": Meaning(
        "A cluster cannot be read. Its entries are kept; the connector keeps trying.", "See the field `reason`."
    ),
    "clusters_configured": Meaning("The file of clusters was read."),
    "clusters_file_unusable": Meaning("The file of clusters cannot be used.", "See the fields `fault` and `remedy`."),
    "collection_readable_again": Meaning("A collection of Kubernetes objects can be read again."),
    "collection_unreadable": Meaning(
        "A collection of Kubernetes objects cannot be read. Its entries are kept; the connector keeps trying.",
        "See the field `remedy`; test permissions with `kubectl auth can-i` (docs/operate.md).",
    ),
    "configmap_deleted": Meaning(
        "A ConfigMap of the cache was deleted. It is written again.", "Do not delete ConfigMaps of the cache."
    ),
    "configmap_full": Meaning(
        "A ConfigMap of the cache is full; further data is written to another one.",
        "Nothing, unless documents are reported as too large.",
    ),
    "configmap_unreadable": Meaning(
        "A ConfigMap of the cache cannot be read.", "See the field `error`; storage-rest writes it again if it can."
    ),
    "connection_unreadable": Meaning(
        "A connection (Secret) of a deployment cannot be read now; the connector tries again.", "See the field `error`."
    ),
    "connections_not_read": Meaning(
        "Connections are not read, so some models are shown without the bucket or address of their files.",
        "Set `RESOLVE_CONNECTIONS` to show them too.",
    ),
    "connections_unreadable": Meaning(
        "Neither the Secrets of connections nor pods may be read, so storage locations are unknown.",
        "Grant what the field `remedy` names, or set `RESOLVE_CONNECTIONS=false`.",
    ),
    "credentials_not_renewed": Meaning(
        "The API server rejected the credentials, and they cannot be renewed.",
        "See the field `error`: the kubeconfig's login, or the mounted token.",
    ),
    "damage_accepted": Meaning("An administrator accepted a damaged cache as complete."),
    "discovery_failed": Meaning(
        "Registries cannot be discovered because of an internal error. Those found before remain in use.",
        "Please report it with the traceback.",
    ),
    "doctor_step_failed": Meaning(
        "A step of `connector doctor` failed because of an internal error.", "Please report it with the traceback."
    ),
    "document_not_served": Meaning(
        "A stored document breaks the rules of the catalog and is not served; its former valid version is kept.",
        "See the field `fault`, and correct the object that the document was made from.",
    ),
    "document_refused": Meaning(
        "A document was refused and is not stored; its former version is kept.",
        "See the field `reason` or `error`.",
    ),
    "entry_added": Meaning("An entry was added to the catalog."),
    "entry_removed": Meaning("An entry was removed from the catalog; see the field `reason`."),
    "event_not_written": Meaning(
        "An Event about a problem of a deployment cannot be written. It is tried again in ten minutes; this is logged "
        "once for each namespace.",
        "Grant `create` and `patch` on events (`deploy/rbac/components/events`), or set `EVENTS=false`.",
    ),
    "exception_ended_thread": Meaning("An uncaught exception ended a thread.", "Please report it with the traceback."),
    "exception_ignored": Meaning(
        "An exception that cannot be handled was ignored.", "Please report it with the traceback."
    ),
    "exception_uncaught": Meaning("An uncaught exception ends the process.", "Please report it with the traceback."),
    "feed_not_registered": Meaning(
        "The feed cannot be registered with Backstage; the connector keeps trying.",
        "Check that `BKSTG_URL` can be reached and that `RHDH_TOKEN` may register locations.",
    ),
    "feed_registered": Meaning("The feed was registered with Backstage as a location."),
    "feed_taken_back": Meaning(
        "A location that was registered with Backstage is no longer wanted and was deleted there."
    ),
    "keys_removed_by_others": Meaning(
        "Another program removed keys from a ConfigMap of the cache. They are written again later.",
        "Remove models at their source; see docs/operate.md.",
    ),
    "kind_not_served": Meaning(
        "The cluster does not serve this kind of object, or the connector may not read it; it checks again later.",
        "Nothing, unless you use it: see the field `remedy`.",
    ),
    "loaded_from_storage": Meaning("location has loaded all documents from storage-rest."),
    "location_reachable_again": Meaning("location accepts changes again."),
    "location_unreachable": Meaning(
        "location does not accept changes; they are kept and sent again.",
        "Check that location runs and that `BRIDGE_URL` is its address.",
    ),
    "malformed_request": Meaning("A malformed HTTP request was refused."),
    "manifests_without_deployments": Meaning(
        "There is no InferenceService or LLMInferenceService in the files of `--manifests`.",
        "Check the field `paths`. What is generated has to be rendered first: `kustomize build DIR > models.yaml`.",
    ),
    "model_hidden": Meaning(
        "A model exists but is not shown; see the fields `cause` and `reason`.",
        "To show it, do what the field `remedy` says.",
    ),
    "model_no_longer_hidden": Meaning("A hidden model is shown now, or no longer exists."),
    "model_server_not_understood": Meaning(
        "The answer of a model server about its models cannot be read. It is shown without that information.",
        "See the other fields.",
    ),
    "model_server_unreachable": Meaning(
        "A model server cannot be asked for its models. It is asked again later.", "See the field `error`."
    ),
    "object_not_processed": Meaning(
        "An object cannot be processed because of an internal error. Its entry is kept as it was.",
        "Please report it with the traceback.",
    ),
    "object_not_rendered": Meaning(
        "No document can be made of an object because of an internal error. Its entry is kept as it was.",
        "Please report it with the traceback.",
    ),
    "object_unreadable": Meaning("A Route or Service cannot be read and is skipped.", "See the field `error`."),
    "original_storage_followed": Meaning("location reads from an original storage-rest."),
    "polling_interval_raised": Meaning(
        "`POLLING_INTERVAL` is too short for registries and was raised.", "Set it to a longer time, such as 2m."
    ),
    "problem_found": Meaning(
        "A problem was found with an object; its id is in the field `problem`.",
        "See the table of problems.",
    ),
    "problem_solved": Meaning("A problem that was logged before no longer exists."),
    "published": Meaning("Changes were sent to storage-rest, and accepted."),
    "registry_not_processed": Meaning(
        "The answer of a registry cannot be processed because of an internal error. Its models are kept as they were.",
        "Please report it with the traceback.",
    ),
    "removal_not_proven": Meaning(
        "It could not be checked whether a missing object was deleted, so its entry is kept for `REMOVAL_HOLD`.",
        "Nothing, unless it persists: see the field `error`.",
    ),
    "removals_held": Meaning(
        "Many entries are missing at once. They are kept for `REMOVAL_HOLD`.",
        "If the models were really deleted, wait or confirm it: `connector removals confirm`.",
    ),
    "request_answered": Meaning("A request was answered (logged at DEBUG)."),
    "request_failed": Meaning(
        "A request was answered with 500 because of an internal error.", "Please report it with the traceback."
    ),
    "request_sent": Meaning("A request was sent to another server (logged at DEBUG)."),
    "revision_unknown": Meaning("storage-rest was restarted or replaced; location reads everything again."),
    "service_failed": Meaning(
        "The service cannot run, and ends.",
        "See the field `error`.",
    ),
    "service_token_refused": Meaning(
        "A Backstage service token was refused.",
        "See the field `reason`; check `BACKSTAGE_JWKS_URL` and the plugin id.",
    ),
    "setting_unusable": Meaning(
        "The value of a variable is invalid; another value is used.",
        "Correct the variable; the fields `fault` and `instead` say what is wrong and what is used.",
    ),
    "source_gone": Meaning(
        "A registry or catalog is no longer configured or found.",
        "Nothing if this is intended; see the field `consequence`.",
    ),
    "source_readable": Meaning("A registry or catalog can be read (`again`: after a failure)."),
    "source_unreadable": Meaning(
        "A registry or catalog cannot be read. Its models are kept; the connector keeps trying.",
        "See the field `remedy`.",
    ),
    "sources_read": Meaning("Every readable source has been read completely."),
    "started": Meaning(
        "The service has started; the fields contain its version, addresses, sources and non-default settings."
    ),
    "started_without_sources": Meaning(
        "Some sources have not answered since the start; the models of the others are served now.",
        "See `/readyz` on 8081 for the sources in the field `missing`.",
    ),
    "storage_not_writable": Meaning(
        "storage-rest does not accept changes; they are kept and sent again.", "See the log of storage-rest."
    ),
    "storage_readable_again": Meaning("storage-rest can be read again."),
    "storage_unreadable": Meaning(
        "location cannot read storage-rest. It continues to serve the models that it has.",
        "Check that storage-rest runs, that `STORAGE_URL` is its address, and that both use one token.",
    ),
    "storage_writable_again": Meaning("storage-rest accepts changes again."),
    "token_file_unusable": Meaning(
        "The file of a token is now unreadable or contains no token. The last token that was read is still used.",
        "Write the token, and nothing else, into the file that the field `fault` names.",
    ),
    "version_not_processed": Meaning(
        "A registered version cannot be processed because of an internal error. Its entry is kept as it was.",
        "Please report it with the traceback.",
    ),
}
