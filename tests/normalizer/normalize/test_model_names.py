"""What a client must write as the model's name: what the runtime was given."""

from typing import Any

import pytest

from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.runtimes import read_runtime
from tests.normalizer.normalize.objects import isvc, model_of, normalized, normalized_deployment

NAME = "rhdh.modelcatalog.io/model-name"


def model(*args: str, **env: str) -> dict[str, Any]:
    return {"model": {"args": list(args), "env": [{"name": key, "value": text} for key, text in env.items()]}}


def container(*args: str, name: str = "kserve-container", **more: Any) -> dict[str, Any]:
    return {"name": name, "args": list(args), **more}


@pytest.mark.parametrize(
    ("predictor", "names"),
    [
        (model("--model_name=llama3", "--model_id=acme/llama-3-8b"), ["llama3"]),
        (model("--model-name", "llama3", "--port", "80"), ["llama3"]),
        (model("--port", "8080", "--served-model-name", "granite", "granite-8b"), ["granite", "granite-8b"]),
        (model("--served_model_name=granite", "--max-model-len=4096"), ["granite"]),
        (model("--served-model-name", "granite", "--lora-modules", "legal=/mnt/a", "--port=80"), ["granite", "legal"]),
        (model("--served-model-name=g", "--lora-modules", '{"name": "legal", "path": "/a"}', "{]"), ["g", "legal"]),
        (model("--model_name={{.Name}}"), ["mnist"]),
        (model("--model_name={{ .Name }}-v2"), ["mnist-v2"]),
        (model("--model_name={{.Labels.app}}"), ["mnist"]),
        (model("--served-model-name=$(MODEL)", MODEL="granite"), ["granite"]),
        (model("--served-model-name=$(MODEL)"), ["mnist"]),
        (model("--served-model-name="), ["mnist"]),
        (model("--served-model-name", "--port=80"), ["mnist"]),
        (model("serve", "/mnt/models"), ["mnist"]),
        (model(MLSERVER_MODEL_NAME="digits"), ["digits"]),
        (model(MODEL_NAME="digits"), ["digits"]),
        (model("--model_name=of-the-option", SERVED_MODEL_NAME="digits"), ["of-the-option"]),
        ({"containers": [container("--model", "acme/qwen", "--served-model-name=qwen2")]}, ["qwen2"]),
        ({"containers": [container(name="proxy"), container("--model_name=main")]}, ["main"]),
        ({"containers": [container(command=["/bin/sh", "-c", "exec vllm serve --served-model-name 'a b'"])]}, ["a b"]),
        ({"containers": [container("vllm serve \\\n  --served-model-name granite --port 8080")]}, ["granite"]),
        ({"containers": [container("vllm serve --served-model-name granite 'half")]}, ["granite", "'half"]),
        ({**model("--model_name=inner"), "containers": [container("--model_name=outer", name="transformer-container")]},
         ["outer"]),
        ({**model(), "containers": [container("--model_name=main")]}, ["main"]),
    ],
)  # fmt: skip
def test_names_that_a_runtime_is_given(predictor: dict[str, Any], names: list[str]) -> None:
    result = normalized(isvc(predictor=predictor))
    assert list(result.details.names) == names
    assert model_of(result.document).annotations[NAME] == names[0]


def test_a_transformer_is_given_the_name_that_clients_write() -> None:
    spec = {"predictor": model("--model_name=inner"), "transformer": {"containers": [container("--model_name=outer")]}}
    assert normalized(isvc(spec=spec)).details.names == ("outer",)


def test_annotations_go_before_arguments_which_stay_further_names() -> None:
    annotations = {NAME: "granite", "rhdh.io/model-b": "b", "rhdh.io/model-a": "a", "rhdh.io/default": "b"}
    facts = isvc(annotations=annotations, predictor=model("--served-model-name=told"))
    assert normalized(facts).details.names == ("granite", "b", "a", "told")


def test_a_runtime_that_names_its_model_itself() -> None:
    def runtime(*args: str) -> Any:
        return read_runtime({"metadata": {"name": "r"}, "spec": {"containers": [container(*args)]}})

    facts = read_isvc(isvc())
    assert normalized_deployment(facts, runtime=runtime("--served-model-name=fixed")).details.names == ("fixed",)
    assert normalized_deployment(facts, runtime=runtime("--served-model-name={{.Name}}")).details.names == ("mnist",)
    told = read_isvc(isvc(predictor=model("--served-model-name=own")))
    assert normalized_deployment(told, runtime=runtime("--served-model-name=fixed")).details.names == ("own",)
