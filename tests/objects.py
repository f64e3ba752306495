"""Kubernetes objects as a cluster with KServe holds them, for tests and benchmarks.

Field names and the wording of conditions follow the KServe v1beta1 and v1alpha1 APIs and the OpenShift Route API.
"""

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

CHANGED = "2025-06-01T09:30:00Z"
GROUP = "serving.kserve.io"


def isvc(
    name: str,
    namespace: str = "models",
    *,
    ready: bool = True,
    url: str | None = None,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    storage_uri: str | None = "oci://registry.example.com/{name}:1",
    model_format: str = "onnx",
    format_version: str | None = None,
    runtime: str | None = None,
    uid: str | None = None,
    **predictor: Any,
) -> Object:
    """An InferenceService with the status its controller writes; `predictor` are further fields of spec.predictor.

    Without `url` it is the external one, https://<name>-<namespace>.apps.example.com.
    """
    model: Object = {"modelFormat": _without_none({"name": model_format, "version": format_version})}
    model |= _without_none({"runtime": runtime, "storageUri": storage_uri and storage_uri.replace("{name}", name)})
    obj: Object = {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": _metadata(name, namespace, annotations, labels, uid),
        "spec": {"predictor": {"model": model, **predictor}},
    }
    address = url or f"https://{name}-{namespace}.apps.example.com"
    obj["status"] = ready_status(address, name, namespace)
    return obj if ready else not_ready(obj)


def ready_status(url: str, name: str, namespace: str) -> Object:
    """The status of an InferenceService whose model is loaded and reachable."""
    return {
        "address": {"url": f"http://{name}-predictor.{namespace}.svc.cluster.local"},
        "components": {"predictor": {"url": f"http://{name}-predictor-{namespace}.example.com"}},
        "conditions": [_condition(kind, "True") for kind in ("IngressReady", "PredictorReady", "Ready")],
        "deploymentMode": "RawDeployment",
        "modelStatus": {
            "copies": {"failedCopies": 0, "totalCopies": 1},
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
            "transitionStatus": "UpToDate",
        },
        "observedGeneration": 1,
        "url": url,
    }


def not_ready(obj: Object, reason: str = "MinimumReplicasUnavailable") -> Object:
    """The same InferenceService while its predictor comes up: no URL, a model that is still loading."""
    states = {"activeModelState": "", "targetModelState": "Loading"}
    return {
        **obj,
        "status": {
            "conditions": [
                _condition("IngressReady", "False", "Predictor ingress not created"),
                _condition("PredictorReady", "False", reason),
                _condition("Ready", "False", reason),
            ],
            "deploymentMode": "RawDeployment",
            "modelStatus": {"states": states, "transitionStatus": "InProgress"},
            "observedGeneration": 1,
        },
    }


def stopped(obj: Object) -> Object:
    """The same InferenceService after someone stopped it."""
    metadata = obj["metadata"]
    annotations = metadata.get("annotations", {}) | {f"{GROUP}/stop": "true"}
    return not_ready({**obj, "metadata": {**metadata, "annotations": annotations}}, "Stopped")


def llm_isvc(
    name: str,
    namespace: str = "models",
    *,
    version: str = "v1alpha1",
    uri: str = "hf://example/{name}",
    model_name: str | None = None,
    url: str | None = "https://{name}-{namespace}.apps.example.com/v1",
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Object:
    """An LLMInferenceService that is ready; with `url=None` only status.addresses tell where it is."""
    internal = f"http://{name}-kserve-workload-svc.{namespace}.svc.cluster.local:8000"
    status: Object = {"addresses": [{"name": "internal", "url": internal}], "conditions": [_condition("Ready", "True")]}
    if url:
        status |= {"url": url.format(name=name, namespace=namespace)}
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "LLMInferenceService",
        "metadata": _metadata(name, namespace, annotations, labels),
        "spec": {"model": _without_none({"uri": uri.format(name=name), "name": model_name}), "replicas": 1},
        "status": status,
    }


def predictor_service(owner: Object, *, port: int = 80, target_port: int | str = 8080) -> Object:
    """The Service the controller makes for an InferenceService's predictor."""
    name = f"{owner['metadata']['name']}-predictor"
    namespace = owner["metadata"]["namespace"]
    labels = {"app": f"isvc.{name}", f"{GROUP}/inferenceservice": owner["metadata"]["name"], "component": "predictor"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, namespace, None, labels) | {"ownerReferences": [owner_reference(owner)]},
        "spec": {
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": name, "port": port, "protocol": "TCP", "targetPort": target_port}],
            "selector": {"app": f"isvc.{name}"},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    }


def service_account_for(owner: Object) -> Object:
    """The ServiceAccount the dashboard makes for an InferenceService that asks for authentication."""
    metadata = _metadata(f"{owner['metadata']['name']}-sa", owner["metadata"]["namespace"])
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata | {"ownerReferences": [owner_reference(owner)]},
    }


def owner_reference(owner: Object) -> Object:
    """A reference to an owner; with its uid when it has one."""
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"]}
    return _without_none(reference | {"uid": metadata.get("uid"), "controller": True, "blockOwnerDeletion": True})


def configmap(
    name: str,
    namespace: str = "rhdh",
    *,
    data: Mapping[str, str] | None = None,
    binary_data: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Object:
    """A ConfigMap; the values of `binary_data` are base64 already."""
    content = _without_none({"data": data and dict(data), "binaryData": binary_data and dict(binary_data)})
    metadata = _metadata(name, namespace, annotations, labels)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}


def secret(name: str, namespace: str = "models", *, data: Mapping[str, str], type: str = "Opaque") -> Object:  # noqa: A002
    """A Secret; the values of `data` are base64 already."""
    metadata = _metadata(name, namespace)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": dict(data)}


def predictor_pod(owner: Object, *, fetched: str, number: int = 1, phase: str = "Running") -> Object:
    """A pod of an InferenceService's predictor, whose model KServe's storage initializer `fetched` from there."""
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    labels = {"app": f"isvc.{name}-predictor", f"{GROUP}/inferenceservice": name, "component": "predictor"}
    initializer = {"name": "storage-initializer", "image": "kserve/storage-initializer:v0.17.0"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(f"{name}-predictor-{number:05}", namespace, None, labels),
        "spec": {
            "initContainers": [initializer | {"args": [fetched, "/mnt/models"]}],
            "containers": [{"name": "kserve-container", "args": ["--model_dir=/mnt/models"]}],
        },
        "status": {"phase": phase},
    }


def route(
    name: str,
    namespace: str = "rhoai-model-registries",
    *,
    host: str | None = None,
    admitted: bool = True,
    service: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> Object:
    """A Route of the model registry operator; one that is not admitted has no ingress yet."""
    host = host or f"{name}.apps.example.com"
    ingress = {
        "host": host,
        "routerName": "default",
        "routerCanonicalHostname": "router-default.apps.example.com",
        "wildcardPolicy": "None",
        "conditions": [_condition("Admitted", "True")],
    }
    return {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": _metadata(
            name, namespace, None, labels or {"app.kubernetes.io/managed-by": "model-registry-operator"}
        ),
        "spec": {
            "host": host,
            "port": {"targetPort": "https-api"},
            "tls": {"termination": "reencrypt", "insecureEdgeTerminationPolicy": "Redirect"},
            "to": {"kind": "Service", "name": service or name, "weight": 100},
            "wildcardPolicy": "None",
        },
        "status": {"ingress": [ingress] if admitted else []},
    }


def service(
    name: str,
    namespace: str = "rhoai-model-registries",
    *,
    ports: Mapping[str, int],
    labels: Mapping[str, str] | None = None,
    app_protocol: str | None = None,
) -> Object:
    """A Service with named ports, as those of registries and catalogs are."""
    rows = [
        _without_none({"name": key, "port": port, "targetPort": port, "protocol": "TCP", "appProtocol": app_protocol})
        for key, port in ports.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, namespace, None, labels),
        "spec": {"clusterIP": "10.96.0.10", "ports": rows, "selector": {"app": name}, "type": "ClusterIP"},
        "status": {"loadBalancer": {}},
    }


def _metadata(
    name: str,
    namespace: str,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    uid: str | None = None,
) -> Object:
    optional = {"annotations": annotations and dict(annotations), "labels": labels and dict(labels), "uid": uid}
    return {"name": name, "namespace": namespace, **_without_none(optional)}


def _condition(kind: str, status: str, reason: str | None = None) -> Object:
    return _without_none({"type": kind, "status": status, "reason": reason, "lastTransitionTime": CHANGED})


def _without_none(values: Mapping[str, Any]) -> Object:
    return {key: value for key, value in values.items() if value is not None}
