#!/usr/bin/env python3
"""Put the connector's containers into a Backstage resource or a Deployment that is yours, or take them out again.

Nothing else in it changes: containers of your own stay, and so does what you have set on the connector's (variables,
limits, mounts); only their images are replaced. What is there is read first, for a merge patch replaces a list as a
whole, and the API server refuses the change when the object was changed meanwhile.

Needs Python 3.9 or newer and kubectl or oc. Examples:

  python3 deploy/sidecars.py add connector -n ai-rhdh backstage/developer-hub      one container
  python3 deploy/sidecars.py add sidecars -n ai-rhdh backstage/developer-hub       the three documented ones
  python3 deploy/sidecars.py add connector -n ai-rhdh deployment/backstage --registries kubeflow
  python3 deploy/sidecars.py add connector -n ai-rhdh backstage/developer-hub --env WATCH_NAMESPACES=models,demo
  python3 deploy/sidecars.py add connector -n ai-rhdh backstage/developer-hub --clusters
  python3 deploy/sidecars.py remove -n ai-rhdh backstage/developer-hub

Exit codes: 0 done or nothing to do, 1 refused or failed (standard error says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import copy
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

VARIANTS = {"connector": ("connector",), "sidecars": ("location", "storage-rest", "rhoai-normalizer")}
NAMES = [name for names in VARIANTS.values() for name in names]
SECRET = "rhdh-rhoai-connector-token"  # noqa: S105 - its name
APP_CONFIG = "rhoai-connector-app-config"
REGISTRIES = "MODEL_REGISTRY_NAMESPACES"
READERS = ("connector", "rhoai-normalizer")
"""The containers that read registries."""
IDENTITY = {"env": "name", "envFrom": None, "volumeMounts": "mountPath", "ports": "containerPort"}
"""The lists of a container that are joined, and what tells their items apart: a field, or the whole item."""
SETTINGS = ("env", "envFrom", "volumeMounts")
"""The lists of an administrator's own settings, which are carried over to the other variant."""

BACKSTAGE = ("spec", "deployment", "patch", "spec", "template", "spec", "containers")
WORKLOAD = ("spec", "template", "spec", "containers")
PLACES = {"Backstage": BACKSTAGE, "Deployment": WORKLOAD, "StatefulSet": WORKLOAD}
CLUSTERS = "rhoai-connector-clusters"
"""The ConfigMap and the Secret of further clusters, and the volume that both are mounted from."""
CLUSTERS_FOLDER = "/etc/rhoai-connector/clusters"
APP_CONFIGS = ("spec", "application", "appConfig", "configMaps")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Refusal(Exception):
    """Why nothing was changed, and what to do."""


def containers_after_adding(
    present: list[Any],
    variant: str,
    templates: dict[str, Any],
    variables: dict[str, str] | None = None,
    *,
    clusters: bool = False,
) -> list[Any]:
    """Return the list of containers with those of `variant` in it, behind everybody else's.

    `templates` are the shipped containers of both variants by name, `variables` are set in all of ours. A container of
    the other variant makes room, and what was set on it is set on the new ones. With `clusters`, the one that reads
    clusters is given the file that names them.

    Raises:
        Refusal: a container that is not the connector's has one of its names.
    """
    wanted = VARIANTS[variant]
    for container in present:
        if container["name"] in wanted and not is_ours(container):
            raise Refusal(
                f"the container {container['name']} (image {container.get('image')}) is not the connector's, for it "
                f"does not use the Secret {SECRET}: give it another name first, or take it out"
            )
    ours = {container["name"]: container for container in present if is_ours(container)}
    leaving = [container for name, container in ours.items() if name not in wanted]
    settings = [_settings(container, templates[container["name"]]) for container in leaving]
    result = [container for container in present if not is_ours(container)]
    for name in wanted:
        container = _joined(ours[name], templates[name]) if name in ours else _with(templates[name], settings)
        set_here = {key: value for key, value in (variables or {}).items() if key != REGISTRIES or name in READERS}
        if clusters and name in READERS:
            set_here["CLUSTERS_FILE"] = f"{CLUSTERS_FOLDER}/clusters.yaml"
            mount = {"name": CLUSTERS, "mountPath": CLUSTERS_FOLDER, "readOnly": True}
            container["volumeMounts"] = _union(container.get("volumeMounts") or [], [mount], IDENTITY["volumeMounts"])
        kept = [variable for variable in container["env"] if variable["name"] not in set_here]
        container["env"] = [*kept, *({"name": key, "value": value} for key, value in set_here.items())]
        result.append(container)
    return result


def is_ours(container: dict[str, Any]) -> bool:
    """Return whether a container is one of the connector's, or of the original sidecars: by name and Secret."""
    sources = [source.get("secretRef", {}).get("name") for source in container.get("envFrom") or []]
    return container["name"] in NAMES and SECRET in sources


def patch_for(
    obj: dict[str, Any], containers: list[Any], app_configs: list[Any] | None, volumes: list[Any] | None = None
) -> dict[str, Any] | None:
    """Return the merge patch that gives `obj` these lists, None when it has them.

    `app_configs` and `volumes` None leave that list as it is.
    """
    wanted = ((place_of(obj), containers), (volumes_of(obj), volumes), (APP_CONFIGS, app_configs))
    lists = {path: after for path, after in wanted if after is not None and after != at(obj, path, [])}
    if not lists:
        return None
    after = copy.deepcopy(obj)
    for path, value in lists.items():
        _put(after, path, value)
    return {
        "metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]},
        "spec": _difference(obj["spec"], after["spec"]),
    }


def volumes_after(present: list[Any], *, containers: list[Any]) -> list[Any]:
    """Return the pod's volumes, with that of further clusters where one of the connector's containers mounts it."""
    others = [volume for volume in present if volume["name"] != CLUSTERS]
    mounts = [mount for each in containers if is_ours(each) for mount in each.get("volumeMounts") or []]
    if not any(mount["name"] == CLUSTERS for mount in mounts):
        return others
    sources = [{"configMap": {"name": CLUSTERS}}, {"secret": {"name": CLUSTERS, "optional": True}}]
    return [*others, {"name": CLUSTERS, "projected": {"sources": sources}}]


def volumes_of(obj: dict[str, Any]) -> tuple[str, ...]:
    """Return where an object has the volumes of its pod."""
    return (*place_of(obj)[:-1], "volumes")


def app_configs_after(obj: dict[str, Any], *, adding: bool) -> list[Any]:
    """Return the app-config ConfigMaps of a Backstage resource, with the connector's or without it.

    It is the first: what a later file says about a list, such as catalog.locations, replaces it, and yours must win.
    """
    present = at(obj, APP_CONFIGS, [])
    if adding:
        return present if any(item["name"] == APP_CONFIG for item in present) else [{"name": APP_CONFIG}, *present]
    return [item for item in present if item["name"] != APP_CONFIG]


def place_of(obj: dict[str, Any]) -> tuple[str, ...]:
    """Return where an object has its containers.

    Raises:
        Refusal: an object of another kind.
    """
    if obj["kind"] not in PLACES:
        raise Refusal(f"{obj['kind']} has no containers to add to: name a {', '.join(PLACES)}")
    return PLACES[obj["kind"]]


def at(obj: Any, path: tuple[str, ...], default: Any = None) -> Any:
    """Return what is at `path`, or the default."""
    for key in path:
        obj = (obj or {}).get(key)
    return default if obj is None else obj


def warning_about(obj: dict[str, Any]) -> str:
    """Return what the owner of an applied resource must know, empty when the next apply takes nothing away."""
    applied = json.loads(obj["metadata"].get("annotations", {}).get(LAST_APPLIED) or "{}")
    if obj["kind"] != "Backstage" or not at(applied, BACKSTAGE):
        return ""
    return (
        f"note: the manifest that {obj['metadata']['name']} is applied from has a list of containers, too. Put ours "
        "there as well (--dry-run shows them): the next kubectl apply would take them out."
    )


def _joined(present: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """Return the container with the template's image and whatever it lacks of the template."""
    result = {**copy.deepcopy(template), **present}
    for field in ("image", "imagePullPolicy"):
        result[field] = template[field]
    for field, key in IDENTITY.items():
        result[field] = _union(present.get(field) or [], template.get(field) or [], key)
    return {field: value for field, value in result.items() if value != []}


def _with(template: dict[str, Any], settings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the template with what was set on other containers."""
    result = copy.deepcopy(template)
    for each in settings:
        for field, items in each.items():
            result[field] = _union(items, result.get(field, []), IDENTITY[field])
    return {field: value for field, value in result.items() if value != []}


def _settings(container: dict[str, Any], template: dict[str, Any]) -> dict[str, Any]:
    """Return what an administrator has set on a container beyond what it was shipped with."""
    return {
        field: [item for item in container.get(field) or [] if item not in template.get(field, [])]
        for field in SETTINGS
    }


def _union(first: list[Any], second: list[Any], key: str | None) -> list[Any]:
    taken = [item[key] if key else item for item in first]
    return [*first, *(item for item in second if (item[key] if key else item) not in taken)]


def _put(obj: dict[str, Any], path: tuple[str, ...], value: list[Any]) -> None:
    """Put a list into an object; an empty one goes, with the fields around it that held nothing else."""
    if value == []:
        while len(path) > len(("spec", "deployment")) and len(at(obj, path[:-1], {})) <= 1:
            path = path[:-1]
        at(obj, path[:-1], {}).pop(path[-1], None)
        return
    for key in path[:-1]:
        obj = obj.setdefault(key, {})
    obj[path[-1]] = value


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes `after` of `before`."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        former = before.get(key)
        if isinstance(value, dict) and isinstance(former, dict):
            if inner := _difference(former, value):
                patch[key] = inner
        elif value != former:
            patch[key] = value
    return patch


class Cluster:
    """The cluster, through kubectl or oc."""

    def __init__(self, command: str, namespace: str | None) -> None:
        self._command = shlex.split(command)
        self._namespace = ["--namespace", namespace] if namespace else []

    def read(self, target: str) -> dict[str, Any]:
        """Return the object `kind/name`."""
        obj: dict[str, Any] = json.loads(self._run(["get", target, *self._namespace, "--output", "json"]))
        return obj

    def patch(self, target: str, patch: dict[str, Any]) -> None:
        """Send a merge patch."""
        print(self._run(["patch", target, *self._namespace, "--type", "merge", "--patch", json.dumps(patch)]).strip())

    def templates(self, directory: Path) -> dict[str, Any]:
        """Return the shipped containers by name; kubectl turns YAML into JSON, without asking the cluster."""
        anything = json.dumps({"apiVersion": "example.com/v1", "kind": "Any", "metadata": {"name": "any"}})
        found: dict[str, Any] = {}
        for variant in VARIANTS:
            file = str(directory / "operator" / f"{variant}.yaml")
            arguments = ["patch", "--local", "--filename", "-", "--type", "merge", "--patch-file", file]
            merged = json.loads(self._run([*arguments, "--output", "json"], anything))
            found.update({container["name"]: container for container in at(merged, BACKSTAGE)})
        return found

    def _run(self, arguments: list[str], given: str = "") -> str:
        done = subprocess.run(  # noqa: S603 - the user's own kubectl
            [*self._command, *arguments], input=given, capture_output=True, text=True, check=False
        )
        if done.returncode:
            hint = "\nSomebody changed it meanwhile: run the command again." if "Conflict" in done.stderr else ""
            raise Refusal(f"{' '.join([*self._command, *arguments[:2]])}: {done.stderr.strip()}{hint}")
        return done.stdout


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(variant=None, registries=None, env=[])
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help="add the containers, or bring those that are there up to date")
    add.add_argument("variant", choices=VARIANTS, help="one container, or the three documented ones")
    add.add_argument("--registries", metavar="NAMESPACE", help=f"where model registries are looked for ({REGISTRIES})")
    add.add_argument(
        "--env", metavar="NAME=VALUE", type=_variable, action="append", default=[], help="a variable; repeatable"
    )
    add.add_argument(
        "--clusters",
        action="store_true",
        help=f"follow the clusters of the ConfigMap {CLUSTERS}, with the tokens of the Secret of that name",
    )
    remove = actions.add_parser("remove", help="take them out, of either variant")
    for action in (add, remove):
        action.add_argument("target", metavar="KIND/NAME", help="such as backstage/developer-hub, deployment/backstage")
        action.add_argument("-n", "--namespace", help="its namespace; default: that of the kubeconfig")
        action.add_argument("--dry-run", action="store_true", help="print the merge patch instead of sending it")
        action.add_argument("--kubectl", default="", help="the command to use; default: kubectl, else oc")
    add.add_argument(
        "--app-config", action="store_true", help=f"name the ConfigMap {APP_CONFIG} in the Backstage resource, too"
    )
    return parser.parse_args()


def _work(options: argparse.Namespace) -> None:
    cluster = Cluster(options.kubectl or ("kubectl" if shutil.which("kubectl") else "oc"), options.namespace)
    obj = cluster.read(options.target)
    present = at(obj, place_of(obj), [])
    adding = options.action == "add"
    if adding:
        templates = cluster.templates(Path(__file__).resolve().parent)
        variables = dict(options.env) | ({REGISTRIES: options.registries} if options.registries else {})
        containers = containers_after_adding(present, options.variant, templates, variables, clusters=options.clusters)
    else:
        containers = [container for container in present if not is_ours(container)]
    named = obj["kind"] == "Backstage" and (not adding or options.app_config)
    patch = patch_for(
        obj,
        containers,
        app_configs_after(obj, adding=adding) if named else None,
        volumes_after(at(obj, volumes_of(obj), []), containers=containers),
    )
    names = ", ".join(container["name"] for container in containers) or "none"
    print(f"containers of {obj['kind']} {obj['metadata']['name']}: {names}", file=sys.stderr)
    if patch is None:
        print("nothing to do", file=sys.stderr)
    elif options.dry_run:
        print(json.dumps(patch, indent=2))
    else:
        cluster.patch(options.target, patch)
    if adding and warning_about(obj):
        print(warning_about(obj), file=sys.stderr)


def main() -> None:
    """Run the command line."""
    try:
        _work(_arguments())
    except (Refusal, OSError) as refusal:
        sys.exit(f"nothing was changed: {refusal}")


if __name__ == "__main__":
    main()
