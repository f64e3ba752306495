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
        "Give the cluster's entry in the kubeconfig a certificate-authority.",
    ),
    "backstage_key_unusable": Meaning(
        "One of the keys that Backstage publishes cannot be used; tokens that it signed are refused.",
        "Only ES256 keys are accepted; see what `BACKSTAGE_JWKS_URL` answers.",
    ),
    "backstage_keys_unreadable": Meaning(
        "The keys that verify Backstage's service tokens cannot be read; keys read before are used further.",
        "See that `BACKSTAGE_JWKS_URL` is reachable from the pod and answers with a JWKS.",
    ),
    "cache_damaged": Meaning(
        "Documents are missing from the cache. Nothing is served until it is known to be complete again.",
        "Wait for a complete look at all sources, or accept the loss: `connector removals accept`.",
    ),
    "cache_file_damaged": Meaning(
        "The file of the cache cannot be read completely. The readable part is used and the file is copied aside.",
        "See the field `kept_as`; the sources fill the cache again.",
    ),
    "cache_loaded": Meaning("storage-rest has read its cache."),
    "cache_not_written": Meaning(
        "The cache cannot be written. Changes wait in memory and are written when it works again.",
        "See the field `error`: rights to patch ConfigMaps, a full disk, or an API server that is away.",
    ),
    "cache_writable_again": Meaning("The cache is written again."),
    "card_not_fetched": Meaning(
        "A model card at an address of its own cannot be fetched. The former card is shown, or a note in its place.",
        "See whether the address answers from the pod, and whether its host is allowed.",
    ),
    "card_not_processed": Meaning(
        "Model cards cannot be processed because of an internal error. They are kept as they were.",
        "Please report it with the traceback.",
    ),
    "card_too_long": Meaning("A model card is longer than the limit and is cut.", "Shorten its readme in the catalog."),
    "card_unreadable": Meaning(
        "A model catalog fails for one model while it answers for others. The card is kept as it was.",
        "See the catalog's log.",
    ),
    "certificate_not_verified": Meaning(
        "The certificate of a registry is not verified: anyone may answer in its place and take the token.",
        "Take it out of `MODEL_REGISTRY_INSECURE` and name its authority in `MODEL_REGISTRY_CA_FILE`.",
    ),
    "cluster_found": Meaning("The API server and the credentials for it were found."),
    "cluster_gone": Meaning(
        "A cluster is no longer configured. Its entries leave after `SOURCE_GONE_GRACE`.",
        "Nothing, if this is intended.",
    ),
    "cluster_unreadable": Meaning(
        "A cluster cannot be followed. Its entries are kept, and it is tried again.", "See the field `reason`."
    ),
    "clusters_configured": Meaning("The file of clusters was read."),
    "clusters_file_unusable": Meaning(
        "The file of clusters cannot be used.", "Correct it as the field `fault` says; see the field `remedy`."
    ),
    "collection_readable_again": Meaning("A collection of Kubernetes objects is followed again."),
    "collection_unreadable": Meaning(
        "A collection of Kubernetes objects cannot be listed or watched. Its entries are kept, and it is tried again.",
        "See the field `remedy`; rights are tested with `kubectl auth can-i` (docs/operate.md).",
    ),
    "configmap_deleted": Meaning(
        "A ConfigMap of the cache was deleted. It is written again.", "Do not delete ConfigMaps of the cache."
    ),
    "configmap_full": Meaning(
        "A ConfigMap of the cache takes no more data; what does not fit goes to another one.",
        "Nothing, unless documents are reported as too large.",
    ),
    "configmap_unreadable": Meaning(
        "A ConfigMap of the cache cannot be read.", "See the field `error`; storage-rest writes it again if it can."
    ),
    "connection_unreadable": Meaning(
        "A connection (Secret) of a deployment cannot be read now; it is tried again.", "See the field `error`."
    ),
    "connections_not_read": Meaning(
        "Connections are not read, so some models are shown without the bucket or address of their files.",
        "Set `RESOLVE_CONNECTIONS` to show these, too.",
    ),
    "connections_unreadable": Meaning(
        "Neither the Secrets of connections nor pods may be read, so storage locations are unknown.",
        "Grant what the field `remedy` names, or set `RESOLVE_CONNECTIONS=false`.",
    ),
    "credentials_not_renewed": Meaning(
        "The credentials for the API server were refused and cannot be renewed.",
        "See the field `error`: the kubeconfig's login, or the mounted token.",
    ),
    "damage_accepted": Meaning("An administrator accepted a damaged cache as complete."),
    "discovery_failed": Meaning(
        "Registries cannot be discovered because of an internal error. Those found before are used further.",
        "Please report it with the traceback.",
    ),
    "doctor_step_failed": Meaning(
        "A step of `connector doctor` failed because of an internal error.", "Please report it with the traceback."
    ),
    "document_not_served": Meaning(
        "A stored document breaks the rules of the catalog and is not served; a former valid one is kept.",
        "Correct it where it is written; see the field `fault`.",
    ),
    "document_refused": Meaning(
        "A document was refused by the next service. It is not sent again in that form.",
        "See the field `reason` or `error`; the former document is kept.",
    ),
    "entry_added": Meaning("An entry arrived in the catalog."),
    "entry_removed": Meaning("An entry left the catalog, for the reason in the field `reason`."),
    "event_not_written": Meaning(
        "An Event about a problem of a deployment cannot be written. It is tried again in ten minutes; this is logged "
        "once for each namespace.",
        "Grant `create` and `patch` on events (`deploy/rbac/components/events`), or set `EVENTS=false`.",
    ),
    "exception_ended_thread": Meaning(
        "An exception that nothing handles ended a thread.", "Please report it with the traceback."
    ),
    "exception_ignored": Meaning(
        "An exception arose where none can be handled, and was ignored.", "Please report it with the traceback."
    ),
    "exception_uncaught": Meaning(
        "An exception that nothing handles ends the process.", "Please report it with the traceback."
    ),
    "feed_not_registered": Meaning(
        "The feed cannot be registered with Backstage; it is tried again.",
        "See that `BKSTG_URL` is reachable and that `RHDH_TOKEN` may register locations.",
    ),
    "feed_registered": Meaning("The feed was registered with Backstage as a location."),
    "feed_taken_back": Meaning(
        "A location that was registered with Backstage is no longer wanted and was deleted there."
    ),
    "keys_removed_by_others": Meaning(
        "Someone removed keys from a ConfigMap of the cache. They are written again after a while.",
        "Remove models at their source; see docs/operate.md.",
    ),
    "kind_not_served": Meaning(
        "The cluster does not serve this kind of object, or it may not be read; it is looked for again.",
        "Nothing, unless you use it: see the field `remedy`.",
    ),
    "loaded_from_storage": Meaning("location has loaded all documents from storage-rest."),
    "location_reachable_again": Meaning("location accepts changes again."),
    "location_unreachable": Meaning(
        "location does not accept changes; they are kept and sent again.",
        "See that location runs and that `BRIDGE_URL` is its address.",
    ),
    "malformed_request": Meaning("Something that is not HTTP was sent to the service, and refused."),
    "model_hidden": Meaning(
        "A model exists and is not shown, for the cause and the reason in the fields.",
        "Do what the field `remedy` says, if it is to be shown.",
    ),
    "model_no_longer_hidden": Meaning("A model that was hidden is shown, or does not exist any more."),
    "model_server_not_understood": Meaning(
        "A model server does not say what it serves. It is shown without that.", "See the fields of the line."
    ),
    "model_server_unreachable": Meaning(
        "A model server cannot be asked what it serves. It is asked again later.", "See the field `error`."
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
        "Something is wrong with an object; the field `problem` has the id of the problem.",
        "See the table of problems.",
    ),
    "problem_solved": Meaning("A problem that was logged before no longer exists."),
    "published": Meaning("Changes were sent to storage-rest, and accepted."),
    "registry_not_processed": Meaning(
        "What a registry answered cannot be processed because of an internal error. Its models are kept as they were.",
        "Please report it with the traceback.",
    ),
    "removal_not_proven": Meaning(
        "A missing object could not be asked for, so its entry is kept for `REMOVAL_HOLD`.",
        "Nothing, unless it lasts: see the field `error`.",
    ),
    "removals_held": Meaning(
        "Many entries are missing at once. They are kept for `REMOVAL_HOLD`.",
        "If the models are really gone, wait or confirm it: `connector removals confirm`.",
    ),
    "request_answered": Meaning("A request was answered (logged at DEBUG)."),
    "request_failed": Meaning(
        "A request was answered with 500 because of an internal error.", "Please report it with the traceback."
    ),
    "request_sent": Meaning("A request was sent to another server, with this result (logged at DEBUG)."),
    "revision_unknown": Meaning("storage-rest was restarted or replaced; everything is read from it again."),
    "service_failed": Meaning(
        "The service cannot run, and ends.",
        "See the field `error`: it names the variable, address or credentials at fault.",
    ),
    "service_token_refused": Meaning(
        "A Backstage service token was refused.",
        "See the field `reason`, and that `BACKSTAGE_JWKS_URL` and the plugin id are right.",
    ),
    "setting_unusable": Meaning(
        "A variable has a value that cannot be used; another one is used instead.",
        "Correct the variable; the fields `fault` and `instead` say what is wrong and what is used.",
    ),
    "source_gone": Meaning(
        "A registry or catalog is no longer named by anything.",
        "Nothing if this is intended; see the field `consequence`.",
    ),
    "source_readable": Meaning("A registry or catalog is read (`again`: after a failure)."),
    "source_unreadable": Meaning(
        "A registry or catalog cannot be read. Its models are kept, and it is tried again.", "See the field `remedy`."
    ),
    "sources_read": Meaning("Every source that can be read was read completely."),
    "started": Meaning(
        "The service runs: its version, where it listens, what it follows, and the settings that are not the default."
    ),
    "started_without_sources": Meaning(
        "Some sources have not answered since the start; the others are shown without waiting longer.",
        "See `/readyz` on 8081 for the sources in the field `missing`.",
    ),
    "storage_not_writable": Meaning(
        "storage-rest does not accept changes; they are kept and sent again.", "See the log of storage-rest."
    ),
    "storage_readable_again": Meaning("storage-rest can be read again."),
    "storage_unreadable": Meaning(
        "location cannot read storage-rest. What it has is served further.",
        "See that storage-rest runs, that `STORAGE_URL` is its address, and that both have the same token.",
    ),
    "storage_writable_again": Meaning("storage-rest accepts changes again."),
    "version_not_processed": Meaning(
        "A registered version cannot be processed because of an internal error. Its entry is kept as it was.",
        "Please report it with the traceback.",
    ),
}
