"""The mapping of a registered version, field by field."""

from typing import Any

import pytest

from common.details import DetailLink, Details
from services.normalizer.facts import RegistryApi
from services.normalizer.normalize.cards import CARD_LIMIT, CatalogModel
from services.normalizer.normalize.registered_version import Registry, catalog_model, readme_card
from services.normalizer.normalize.registry import PROPERTIES
from services.normalizer.normalize.result import Defaults
from tests.normalizer.normalize.objects import URL, model_of, server_of
from tests.normalizer.normalize.registries import artifact, document, model, server, strings, version

MODEL_NAME = "rhdh.modelcatalog.io/model-name"
LICENCE = "rhdh.modelcatalog.io/license"
GONE = ("DELETED", "MARKED_FOR_DELETION", "ABANDONED")


def test_names_ref_and_times() -> None:
    result = document(
        model(id="3", name="Granite 3.1"),
        version(id="30", name="Preview 2", createTimeSinceEpoch="1700", lastUpdateTimeSinceEpoch="1800"),
    )
    assert result.ref == "registry:r1:3:30"
    assert result.segments == ("Granite31", "Preview2")
    assert model_of(result.document).name == "Granite31-preview-2"
    assert (result.reconciler, result.created, result.updated) == ("kubeflow", 1700, "1800")


@pytest.mark.parametrize("name", ["模型", "...", "__", "-"])
def test_names_that_sanitising_empties_get_a_stable_hash(name: str) -> None:
    result = document(model(name=name), version(name=name))
    assert result.segments == document(model(name=name), version(name=name)).segments
    assert all(part.isalnum() and len(part) == 8 for part in result.segments)
    assert model_of(result.document).name == "-".join(result.segments)


def test_long_names_keep_the_version() -> None:
    name = model_of(document(model(name="m" * 200), version(name="v" * 200)).document).name
    assert name == "m" * 31 + "-" + "v" * 31


@pytest.mark.parametrize(
    ("of_model", "of_version", "description"),
    [("a", "b", "a\nb"), ("a", "", "a"), (" ", "b", "b"), ("", "", "granite v1"), (None, 7, "7")],
)
def test_description_has_no_stray_line(of_model: Any, of_version: Any, description: str) -> None:
    result = document(model(description=of_model), version(description=of_version))
    assert model_of(result.document).description == description


@pytest.mark.parametrize(
    ("of_version", "of_model", "account", "owner"),
    [
        ("v-team", "m-team", "kube:admin", "v-team"),
        (None, "m-team", "kube:admin", "m-team"),
        ("  ", "m-team", "kube:admin", "m-team"),
        (None, None, "kube:admin", "kubeadmin"),
        (None, None, "jane.doe@example.com", "jane.doe"),
        (None, None, "", "rhdh-rhoai-bridge"),
        (None, None, "!!", "rhdh-rhoai-bridge"),
    ],
)
def test_owner(of_version: str | None, of_model: str | None, account: str, owner: str) -> None:
    result = document(
        model(owner=account, customProperties=strings(Owner=of_model) if of_model else {}),
        version(customProperties=strings(Owner=of_version) if of_version else {}),
    )
    assert model_of(result.document).owner == owner
    assert result.problems == ()


def test_properties_of_the_version_go_before_those_of_the_model() -> None:
    of_model = model(customProperties=strings(Usage="model's", Ethics="model's", Lifecycle="deprecated"))
    of_version = version(customProperties=strings(Usage="version's", Ethics=""))
    found = model_of(document(of_model, of_version).document)
    assert (found.usage, found.ethics, found.lifecycle) == ("version's", "model's", "deprecated")


def test_properties_of_every_type_are_understood() -> None:
    of_version = version(
        customProperties={
            "Usage": {"metadataType": "MetadataIntValue", "int_value": "7"},
            "rank": {"metadataType": "MetadataIntValue", "int_value": "7"},
            "accuracy": {"metadataType": "MetadataDoubleValue", "double_value": 0.93},
            "gated": {"metadataType": "MetadataBoolValue", "bool_value": True},
            "proto": {"metadataType": "MetadataProtoValue", "type": "x", "proto_value": "eA=="},
            "struct": {"metadataType": "MetadataStructValue", "struct_value": "eA=="},
            "future": {"metadataType": "MetadataVectorValue", "vector_value": [1, 2]},
            "untyped": {"string_value": "Yes"},
            "nothing": None,
            "number": 5,
        }
    )
    found = model_of(document(None, of_version).document)
    assert set(found.tags) == {"rank", "accuracy-0-93", "gated", "proto", "struct", "future", "untyped-yes"}
    assert found.usage == "7"


def test_tags_by_kind_of_property() -> None:
    of_model = model(customProperties=strings(Provider="IBM", _lastModified="2020-01-01T00:00:00Z", shared="X"))
    of_version = version(
        customProperties=strings(_lastModified="2025-03-05T14:22:11.123Z", task="Text-Generation", mini="")
        | strings(License="mit", TechDocs="https://e.com", Owner="team", API_Type="grpc", Registered_from="catalog")
        | {"_registeredFromCatalogRepositoryName": strings(x="rhelai1")["x"], "_other": strings(x="y")["x"]}
    )
    of_artifact = artifact(customProperties=strings(_lastModified="2025-01-02T03:04:05Z", quant="w8a8"))
    of_document = artifact(artifactType="doc-artifact", customProperties=strings(secret="notes"))
    result = document(of_model, of_version, [of_artifact, of_document])
    assert model_of(result.document).tags == (
        "catalog",
        "grpc",
        "ibm",
        "last-modified-time-2025-01-02-03-04-05",
        "last-modified-time-2025-03-05-14-22-11-123",
        "mini",
        "quant-w8a8",
        "rhelai1",
        "shared-x",
        "task-text-generation",
    )
    assert result.problems == ()


@pytest.mark.parametrize(
    ("key", "text", "tags"),
    [
        ("model_type", "generative", {"model-type-generative"}),
        ("qwen2_5", "", {"qwen2-5"}),
        ("8-bit precision", "", {"8-bit-precision"}),
        ("Use case", "Chat & more", {"use-case-chat-more"}),
        ("validated_on", '["RHOAI 3.4", "vLLM 0.18.0"]', {"validated-on-rhoai-3-4", "validated-on-vllm-0-18-0"}),
        ("tasks", '["text-generation", "chat"]', {"text-generation", "chat"}),
        ("ports", "[8080, null, {}]", {"ports-8080"}),
        ("empty", "[]", set()),
        ("odd", "[a", {"odd-a"}),
        ("deep", "[" * 60_000, set()),
        ("long", "x" * 60, {"long-" + "x" * 58}),
        ("summary", "x" * 64, set()),
        ("config", '{"lr": 0.1}', set()),
        ("commit", "0123456789abcdef0123456789abcdef01234567", set()),
        ("run", "5f0c2ad4-0a6b-4f0e-9a44-7d2b7f6f1a01", set()),
        ("notes", "one\ntwo", set()),
        ("paper", "https://u:CANARY@example.com/paper", set()),
        ("_registeredFromPipelineRunId", "5f1c", set()),
        ("app.kubernetes.io/managed-by", "model-registry", set()),
    ],
)
def test_tags_of_strings(key: str, text: str, tags: set[str]) -> None:
    stored = {"metadataType": "MetadataStringValue", "string_value": text}
    result = document(None, version(customProperties={key: stored}))
    assert set(model_of(result.document).tags) == tags
    assert result.problems == ()


def test_numbers_are_tags_as_far_as_they_say_something() -> None:
    of_version = version(
        customProperties={
            "f1": {"metadataType": "MetadataDoubleValue", "double_value": 0.5},
            "gpus": {"metadataType": "MetadataIntValue", "int_value": "2"},
            "gated": {"metadataType": "MetadataBoolValue", "bool_value": True},
            "quantized": {"metadataType": "MetadataBoolValue", "bool_value": False},
        }
    )
    assert model_of(document(None, of_version).document).tags == ("f1-0-5", "gated", "gpus")


def test_properties_that_leave_no_tag_are_reported_once() -> None:
    lost = {name: strings(x="值")["x"] for name in "甲乙丙丁戊己庚"}
    result = document(None, version(customProperties=lost | strings(Task="Chat")))
    assert model_of(result.document).tags == ("task-chat",)
    assert [problem.severity for problem in result.problems] == ["info"]
    assert "and 2 more" in result.problems[0].message


def test_what_is_machinery_can_be_configured() -> None:
    defaults = Defaults(tags_ignored=("cost*", "!_stage", "!cost-centre"))
    properties = strings(cost="1", _stage="beta", _other="x", team="a") | {"cost-centre": strings(x="7")["x"]}
    found = document(None, version(customProperties=properties), defaults=defaults)
    assert model_of(found.document).tags == ("cost-centre-7", "stage-beta", "team-a")


def test_fields_of_newer_registries() -> None:
    of_model = model(
        provider="Red Hat",
        tasks=["text-generation", 5, None],
        libraryName="transformers",
        language=["en", "de"],
        maturity="Generally Available",
        license="apache-2.0",
        licenseLink="https://www.apache.org/licenses/LICENSE-2.0",
    )
    found = model_of(document(of_model).document)
    assert set(found.tags) == {
        "red-hat",
        "text-generation",
        "5",
        "transformers",
        "language-en",
        "language-de",
        "maturity-generally-available",
    }
    assert found.license == "https://www.apache.org/licenses/LICENSE-2.0"
    assert found.annotations[LICENCE] == "apache-2.0"


def test_properties_go_before_the_fields_of_newer_registries() -> None:
    of_model = model(provider="Red Hat", license="mit", licenseLink="https://e.com/mit")
    found = model_of(document(of_model, version(customProperties=strings(Provider="IBM", License="isc"))).document)
    assert found.tags == ("ibm",)
    assert found.license == "https://spdx.org/licenses/ISC.html"


@pytest.mark.parametrize(
    ("name", "link", "shown"),
    [("llama3", "https://e.com/l", "https://e.com/l"), ("mit", "here", "https://spdx.org/licenses/MIT.html"),
     ("", "https://e.com/l", "https://e.com/l")],
)  # fmt: skip
def test_licence_link_of_the_model(name: str, link: str, shown: str) -> None:
    result = document(model(license=name, licenseLink=link))
    assert model_of(result.document).license == shown
    assert result.problems == ()


def test_artifact_is_the_oldest_model() -> None:
    artifacts = [
        artifact(id="9", artifactType="doc-artifact", uri="https://e.com/readme", createTimeSinceEpoch="1"),
        artifact(id="20", uri="oci://late", createTimeSinceEpoch="3"),
        artifact(id="10", uri="oci://second", createTimeSinceEpoch="2"),
        artifact(id="3", uri="oci://first", createTimeSinceEpoch="2"),
        artifact(id="1", uri=None, createTimeSinceEpoch="0"),
    ]
    for order in (artifacts, artifacts[::-1]):
        assert model_of(document(None, None, order).document).artifact_location_url == "oci://first"
    assert model_of(document(None, None, []).document).artifact_location_url is None


def test_artifact_that_is_no_url_is_reported() -> None:
    result = document(None, None, [artifact(uri="bucket/path")])
    assert model_of(result.document).artifact_location_url is None
    assert result.problems[0].object == "ModelVersion 'v1' of 'granite' in registry public"


def test_artifacts_that_are_gone_do_not_count() -> None:
    gone = [artifact(id=f"{n}", uri=f"s3://old/{n}", state=state) for n, state in enumerate(GONE)]
    kept = artifact(id="9", uri="s3://new", state="UNKNOWN")
    assert model_of(document(None, None, [*gone, kept]).document).artifact_location_url == "s3://new"
    assert model_of(document(None, None, gone).document).artifact_location_url is None


def test_files_without_a_url_are_reported_in_words() -> None:
    result = document(None, None, [artifact(uri="", storageKey="aws-models", storagePath="churn/7")])
    assert model_of(result.document).artifact_location_url is None
    assert result.details.location == "churn/7 in the storage of connection aws-models"
    assert result.details.connection == "aws-models"
    assert [problem.severity for problem in result.problems] == ["info"]


@pytest.mark.parametrize("uri", ["mlflow-artifacts:/3/0a1b/artifacts/model", "models:/churn/7", "dbfs:/models/x"])
def test_artifact_of_any_scheme(uri: str) -> None:
    result = document(None, None, [artifact(uri=uri)])
    assert model_of(result.document).artifact_location_url == uri
    assert result.problems == ()


def test_what_the_document_has_no_place_for_is_kept_in_the_details() -> None:
    of_model = model(
        name="acme/Granite 3.3", provider="IBM", tasks=["text-generation"], license="apache-2.0", owner="group:ml"
    )
    of_version = version(name="1.0", author="Jane Doe")
    kept = document(
        of_model,
        of_version,
        [artifact(modelFormatName="vLLM", modelFormatVersion="1")],
        defaults=Defaults(dashboard_url="https://dashboard.example.com/"),
    ).details
    assert kept == Details(
        title="acme/Granite 3.3 1.0",
        owner="group:default/ml",
        tasks=("text-generation",),
        registry="public",
        model="acme/Granite 3.3",
        version="1.0",
        author="Jane Doe",
        provider="IBM",
        license="Apache-2.0",
        tags=("vllm-1",),
        links=(
            DetailLink(
                "https://dashboard.example.com/ai-hub/registry/public/registered-models/1/versions/10",
                "Model registry: version 1.0",
                "catalog",
            ),
        ),
    )


def test_accounts_of_the_cluster_own_and_write_nothing() -> None:
    account = "system:serviceaccount:ds-project:pipeline-runner"
    result = document(model(owner=account), version(author=account))
    assert model_of(result.document).owner == "rhdh-rhoai-bridge"
    assert result.details.author == ""
    assert result.problems == ()


WITH_TEXT = sorted({*PROPERTIES.values(), MODEL_NAME, "Provider", "tasks", "anything"})


@pytest.mark.parametrize("name", WITH_TEXT)
@pytest.mark.parametrize(
    "written", ["https://bot:CANARY@example.com/x", "See https://bot:CANARY@example.com/x?sig=CANARY"]
)
def test_no_property_shows_a_credential(name: str, written: str) -> None:
    stored = {name: {"metadataType": "MetadataStringValue", "string_value": written}}
    for result in (
        document(model(customProperties=stored), version(customProperties=stored), served=server()),
        document(model(description=written, license=written, owner=written, provider=written), version(author=written)),
        document(None, None, [artifact(uri=written)]),
    ):
        shown = result.document.encode().decode() + repr(result.details) + repr(result.problems)
        assert "CANARY" not in shown


def test_model_name_is_what_clients_write() -> None:
    override = version(customProperties=strings(**{MODEL_NAME: "ibm/granite"}))
    for of_version, served, name in (
        (None, None, "granite-v1"),
        (None, server(), "mnist"),
        (override, server(), "ibm/granite"),
        (override, None, "ibm/granite"),
    ):
        found = model_of(document(None, of_version, served=served).document)
        assert found.annotations[MODEL_NAME] == name
        assert found.tags == ()


def test_server_is_named_by_the_registry_or_the_isvc() -> None:
    for name, shown in (("", "mnist"), ("mnist/5f1c", "mnist5f1c"), ("...", "mnist")):
        assert server_of(document(served=server(), registry_isvc_name=name).document).name == shown


def test_server_has_the_models_words_and_the_isvcs_address() -> None:
    of_version = version(customProperties=strings(Usage="u", API_Type="grpc", Owner="group:default/t", x="y"))
    found = server_of(document(None, of_version, served=server()).document)
    assert (found.api.url, found.api.type, found.api.spec, found.api.tags) == (URL, "grpc", "TBD", ("grpc", "x-y"))
    assert (found.usage, found.owner, found.tags) == ("u", "t", ("grpc", "x-y"))
    assert found.annotations == {}


def test_api_is_described_by_the_registry_else_by_the_isvc() -> None:
    served = server(said={"apitype": "graphql", "apispec": "schema {}", "usage": "not the model's"})
    api = server_of(document(served=served).document).api
    assert (api.type, api.spec) == ("graphql", "schema {}")
    of_model = model(customProperties=strings(API_Type="rest", API_Spec="openapi: 3.1.0"))
    result = document(of_model, served=served)
    assert (server_of(result.document).api.type, server_of(result.document).api.spec) == ("openapi", "openapi: 3.1.0")
    assert [(p.severity, "'API Type'" in p.remedy) for p in result.problems] == [("warning", True)]
    assert server_of(result.document).usage is None


def test_what_people_say_on_the_deployment_about_the_server_counts_unless_the_registry_says_it() -> None:
    said = {"system": "support-desk", "apitype": "rest"}
    served = server(said=said, annotations={"openshift.io/display-name": "Granite for support"})
    (problem,) = document(served=served).problems
    assert "in the annotation modelcatalogbridge.rhdh.io/apitype of InferenceService vision/mnist" in problem.remedy
    details = document(served=served).details
    assert (details.title, details.system) == ("Granite for support", "system:default/support-desk")
    assert document(served=server()).details.title == "granite v1"


def test_api_spec_may_be_a_whole_description() -> None:
    spec = "openapi: 3.1.0\npaths:\n" + "  /v2/models/x: {}\n" * 5_000
    of_version = version(customProperties=strings(API_Spec=spec))
    result = document(None, of_version, served=server())
    assert server_of(result.document).api.spec == spec.rstrip()
    assert model_of(result.document).tags == ()


def test_card_is_the_documentation() -> None:
    with_property = version(customProperties=strings(TechDocs="https://docs.example.com"))
    for of_version in (None, with_property, version(customProperties=strings(TechDocs="nonsense"))):
        result = document(None, of_version, card="a b/c&d=é")
        assert result.card_key == "a b/c&d=é"
        techdocs = model_of(result.document).annotations["TechDocs"]
        assert techdocs == "http://localhost:9090/modelcard?key=a%20b%2Fc%26d%3D%C3%A9"
        assert result.problems == ()


@pytest.mark.parametrize(
    ("written", "shown", "told"),
    [("https://docs.example.com", "https://docs.example.com", 0), ("ftp://e.com/x", None, 1), ("nonsense", None, 1)],
)
def test_techdocs_property_without_a_card(written: str, shown: str | None, told: int) -> None:
    result = document(None, version(customProperties=strings(TechDocs=written)))
    assert model_of(result.document).annotations.get("TechDocs") == shown
    assert len(result.problems) == told


def test_catalog_model_is_found_by_the_first_artifact_that_names_it() -> None:
    source = {"modelSourceClass": "redhat ai", "modelSourceGroup": "rhelai1", "modelSourceName": "granite/8b lab"}
    partial = artifact(id="1", modelSourceClass="redhat ai", createTimeSinceEpoch="1")
    full = artifact(id="2", createTimeSinceEpoch="2", **source)
    found = catalog_model([full, partial])
    assert found == CatalogModel("redhat ai", "rhelai1", "granite/8b lab")
    assert found.key == "redhatairhelai1granite/8blab"
    assert found.path == "/sources/redhat%20ai/models/rhelai1/granite/8b%20lab"
    assert catalog_model([partial]) is None
    assert catalog_model([artifact(artifactType="doc-artifact", **source)]) is None


def test_readme_serves_as_a_card() -> None:
    card = readme_card("r1", model(id="3", readme="# Granite\r\n"))
    assert card == ("readme-r1-3", "# Granite")
    assert readme_card("r1", model(readme="  ")) is None


def test_a_readme_that_is_too_large_is_shortened_and_told() -> None:
    huge = model(readme="é" * 600_000)
    card = readme_card("r1", huge)
    assert card
    assert "left out here" in card.text
    assert len(card.text.encode()) <= CARD_LIMIT
    [problem] = document(huge, version()).problems
    assert (problem.severity, "readme" in problem.message) == ("warning", True)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"modelSourceGroup": "g", "modelSourceName": "n 1"}, "/sources/c/models/g/n%201"),
        ({"modelSourceName": "g/n"}, "/sources/c/models/g/n"),
        ({"modelSourceName": "n"}, "/sources/c/models/n"),
        ({"modelSourceGroup": "g", "modelSourceName": "g/n"}, "/sources/c/models/g/n"),
        ({"modelSourceKind": "catalog", "modelSourceName": "n"}, "/sources/c/models/n"),
        ({"modelSourceKind": "kfp", "modelSourceName": "n"}, None),
        ({"modelSourceKind": "transfer_job", "modelSourceName": "n"}, None),
        ({"modelSourceName": "../n"}, None),
        ({"modelSourceGroup": "g"}, None),
    ],
)
def test_what_an_artifact_says_of_its_origin(fields: dict[str, str], path: str | None) -> None:
    found = catalog_model([artifact(modelSourceClass="c", **fields)])
    assert (found.path if found else None) == path


@pytest.mark.parametrize(("api", "place"), [("kubeflow", "custom property"), ("mlflow", "tag")])
def test_a_remedy_calls_a_property_as_its_registry_does(api: RegistryApi, place: str) -> None:
    of_model = model(customProperties=strings(API_Type="rest"))
    (problem,) = document(of_model, registry=Registry("r1", "public", api=api)).problems
    assert f"in the {place} 'API Type'" in problem.remedy
