"""What people wrote, and what Backstage gets of it."""

import pytest

from common.details import Details
from services.normalizer.normalize.licences import licence_identifier, licence_page
from services.normalizer.normalize.owners import parse_owner
from services.normalizer.normalize.profile import FIELDS
from services.normalizer.normalize.stated import read_stated
from tests.normalizer.normalize.objects import isvc, model_of, normalized, server_of


@pytest.mark.parametrize(
    ("written", "name", "reference"),
    [
        ("ml-team", "ml-team", ""),
        ("jane.doe", "jane.doe", ""),
        ("user:jane", "jane", ""),
        ("user:default/jane", "jane", ""),
        ("User:Default/jane", "jane", ""),
        ("user:partners/jane", "jane", "user:partners/jane"),
        ("group:ml-team", "ml-team", "group:default/ml-team"),
        ("group:default/ml-team\r\n", "ml-team", "group:default/ml-team"),
        ("partners/jane", "jane", "user:partners/jane"),
        ("jane.doe@example.com", "jane.doe", ""),
        ("jane+models@example.com", "jane", ""),
        ("mailto:jane@example.com", "jane", ""),
        ("_jane_@example.com", "jane", ""),
        ("team a!", "teama", ""),
        ("kube:admin", "kubeadmin", ""),
        ("group:default/", "groupdefault", ""),
        ("x" * 80, "x" * 63, ""),
        ("Jane Doe <jane.doe@example.com>", "jane.doe", ""),
        ("Doe, Jane <jane.doe@example.com>", "jane.doe", ""),
        ("jane@example.com, joe@example.com", "jane", ""),
        ("group:default/ml-team; joe", "ml-team", "group:default/ml-team"),
        ("CN=Jane Doe,OU=Data,DC=example", "JaneDoe", ""),
        ("group:default/ML team", "MLteam", "group:default/MLteam"),
        ("user:Jane Doe", "JaneDoe", ""),
        ("uid=jdoe, ou=people, dc=example", "jdoe", ""),
    ],
)
def test_owners(written: str, name: str, reference: str) -> None:
    owner = parse_owner(written)
    assert owner is not None
    assert (owner.name, owner.reference) == (name, reference)


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "\n", "!!", "团队", "@", "__", "-.-", ",", " ; ", "<>",
        "system:serviceaccount:models:pipeline-runner", "system:admin", "https://jane:CANARY@example.com",
    ],
)  # fmt: skip
def test_no_owner_can_be_made(written: str) -> None:
    assert parse_owner(written) is None


def test_owner_that_is_none_falls_back_and_is_reported() -> None:
    result = normalized(isvc(said={"owner": "团队"}))
    assert model_of(result.document).owner == "rhdh-rhoai-bridge"
    assert [problem.severity for problem in result.problems] == ["warning"]
    assert "modelcatalogbridge.rhdh.io/owner" in result.problems[0].remedy


def test_group_becomes_the_user_of_its_name_and_that_is_reported() -> None:
    result = normalized(isvc(said={"owner": "group:default/ml-team"}))
    assert server_of(result.document).owner == model_of(result.document).owner == "ml-team"
    assert server_of(result.document).annotations == {}
    assert [problem.severity for problem in result.problems] == ["info"]


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache License v2.0", "Apache-2.0"),
        ("MIT", "MIT"),
        ("The MIT License", "MIT"),
        ("bsd-3-clause", "BSD-3-Clause"),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0"),
        ("gpl-3.0", "GPL-3.0-only"),
        ("GPL-3.0+", "GPL-3.0-or-later"),
        ("GPL-3.0-or-later", "GPL-3.0-or-later"),
        ("GNU General Public License v3.0", "GPL-3.0-only"),
        ("GPLv2", "GPL-2.0-only"),
    ],
)
def test_known_licences(name: str, identifier: str) -> None:
    assert licence_page(name) == f"https://spdx.org/licenses/{identifier}.html"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("llama3.1", "https://www.llama.com/llama3_1/license/"),
        ("Llama 3.3 Community License", "https://www.llama.com/llama3_3/license/"),
        ("gemma", "https://ai.google.dev/gemma/terms"),
    ],
)
def test_licences_of_models_have_pages_of_their_own(name: str, page: str) -> None:
    assert licence_page(name) == page
    assert licence_identifier(name) is None


@pytest.mark.parametrize("name", ["llama", "openrail", "other", "license", "the", "", "apache", "GPL"])
def test_unknown_licences(name: str) -> None:
    assert licence_page(name) is None


def test_licence_name_becomes_link_and_annotation() -> None:
    result = normalized(isvc(said={"license": " apache-2.0\n"}))
    model = model_of(result.document)
    assert model.license == "https://spdx.org/licenses/Apache-2.0.html"
    assert model.annotations["rhdh.modelcatalog.io/license"] == "apache-2.0"
    assert result.problems == ()


def test_unknown_licence_is_kept_as_annotation() -> None:
    result = normalized(isvc(said={"license": "openrail"}))
    model = model_of(result.document)
    assert model.license is None
    assert model.annotations["rhdh.modelcatalog.io/license"] == "openrail"
    assert "'openrail'" in result.problems[0].message


@pytest.mark.parametrize(("usage", "shown"), [(None, "Ask the team."), ("For digits.", "For digits.\n\nAsk the team.")])
def test_prose_in_how_to_use_is_usage(usage: str | None, shown: str) -> None:
    said = {"howtouse": "Ask the team."} | ({"usage": usage} if usage else {})
    result = normalized(isvc(said=said))
    assert model_of(result.document).how_to_use_url is None
    assert model_of(result.document).usage == server_of(result.document).usage == shown
    assert [problem.severity for problem in result.problems] == ["info"]


def test_homepage_and_techdocs_that_are_no_links_are_left_out() -> None:
    result = normalized(isvc(said={"homepageurl": "example.com", "techdocs": "s3://docs/x"}))
    assert server_of(result.document).homepage_url is None
    assert "TechDocs" not in model_of(result.document).annotations
    assert [problem.severity for problem in result.problems] == ["warning", "warning"]


@pytest.mark.parametrize(
    ("written", "api_type", "told"), [("OpenAPI\r\n", "openapi", 0), ("graphql", "graphql", 0), ("rest", "openapi", 1)]
)
def test_api_types(written: str, api_type: str, told: int) -> None:
    result = normalized(isvc(said={"apitype": written}))
    assert server_of(result.document).api.type == api_type
    assert len(result.problems) == told


def test_blanks_and_line_ends_are_cleaned() -> None:
    said = {
        "description": "  one\r\ntwo\x00 \r\n",
        "lifecycle": "production\r\n",
        "owner": " ml-team ",
        "usage": " \n ",
        "ethics": "",
        "apispec": "\n  openapi: 3.1.0\r\n  info: {}\n",
        "support": "x" * 10_000,
    }
    result = normalized(isvc(said=said))
    model = model_of(result.document)
    assert model.description == "one\ntwo"
    assert (model.lifecycle, model.owner) == ("production", "ml-team")
    assert (model.usage, model.ethics) == (None, None)
    assert server_of(result.document).api.spec == "  openapi: 3.1.0\n  info: {}"
    assert model.support == "x" * 10_000
    assert result.problems == ()


def test_both_prefixes_are_read_ours_first_in_any_spelling() -> None:
    annotations = {
        "rhdh.io/description": "theirs",
        "modelcatalogbridge.rhdh.io/description": "ours",
        "rhdh.io/owner": "theirs",
        "modelcatalogbridge.rhdh.io/owner": "  ",
        "rhdh.io/homepageURL": "https://b.example.com",
        "rhdh.io/homepageurl": "https://a.example.com",
        "rhdh.io/serverType": "openai-v1",
        "rhdh.io/api-entity-ref": "granite",
        "openshift.io/display-name": "Granite 8B",
        "openshift.io/description": "the dashboard's",
        "rhdh.io/unknown": "x",
        "example.com/usage": "x",
    }
    stated = read_stated({"annotations": annotations})
    assert stated.texts == {
        "description": "ours",
        "owner": "theirs",
        "homepageurl": "https://a.example.com",
        "servertype": "openai-v1",
        "apientityref": "granite",
        "title": "Granite 8B",
    }
    assert stated.place("homepageurl") == "the annotation rhdh.io/homepageurl"
    of_dashboard = read_stated({"annotations": {"openshift.io/description": "the dashboard's"}})
    assert of_dashboard.texts == {"description": "the dashboard's"}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (f"{prefix}{name}", text)
        for prefix in ("rhdh.io/", "modelcatalogbridge.rhdh.io/")
        for name, text in [
            ("owner", "团队"), ("howToUse", "prose"), ("homepageURL", "page"), ("techdocs", "s3://x/y"),
            ("license", "ours"), ("apiType", "rest"), ("api-entity-ref", "a b"), ("usage", "https://a:b@example.com"),
        ]
    ]
    + [("openshift.io/description", "https://a:b@example.com"), ("openshift.io/display-name", "https://a:b@e.com")],
)  # fmt: skip
def test_a_remedy_names_the_annotation_that_was_written(key: str, text: str) -> None:
    (problem,) = normalized(isvc(annotations={key: text})).problems
    assert f"the annotation {key}" in problem.remedy


def test_a_remedy_names_the_usual_annotation_for_what_is_not_written() -> None:
    (problem,) = normalized(isvc(annotations={"rhdh.io/howtouse": "prose"})).problems
    assert "prose in the annotation modelcatalogbridge.rhdh.io/usage" in problem.remedy


def test_what_the_document_has_no_place_for_is_kept_in_the_details() -> None:
    annotations = {
        "rhdh.io/model-b": "llama-3",
        "rhdh.io/model-a": "mixtral",
        "rhdh.io/default": "llama-3",
        "rhdh.io/system": "assistants",
        "rhdh.io/serverType": "OpenAI-v1",
        "rhdh.io/api-entity-ref": "partners/granite",
        "rhdh.io/owner": "group:default/ml-team",
        "rhdh.io/license": "Apache 2",
        "openshift.io/display-name": "Granite 8B",
    }
    result = normalized(isvc(annotations=annotations))
    assert result.details == Details(
        title="Granite 8B",
        owner="group:default/ml-team",
        system="system:default/assistants",
        names=("llama-3", "mixtral"),
        server_type="openai-v1",
        kind="InferenceService",
        namespace="vision",
        deployment="mnist",
        api_entity="api:partners/granite",
        license="Apache-2.0",
    )
    assert server_of(result.document).annotations == {}


def test_a_server_type_of_ones_own_is_left_to_the_reader() -> None:
    result = normalized(isvc(annotations={"rhdh.io/serverType": "acme-v7"}))
    assert server_of(result.document).annotations == {"rhdh.io/serverType": "acme-v7"}
    assert result.details.server_type == ""


@pytest.mark.parametrize(("field", "kind"), [("system", "system"), ("api-entity-ref", "api")])
@pytest.mark.parametrize("written", ["my platform", "group:default/x", "a/b/c"])
def test_references_that_backstage_would_refuse_are_reported(field: str, kind: str, written: str) -> None:
    result = normalized(isvc(annotations={f"rhdh.io/{field}": written}))
    assert (result.details.system, result.details.api_entity) == ("", "")
    assert [problem.severity for problem in result.problems] == ["warning"]
    assert f"{kind}:default/" in result.problems[0].remedy


FIELDS_WITH_TEXT = sorted(FIELDS - {"apitype", "lifecycle", "owner"})


@pytest.mark.parametrize("field", FIELDS_WITH_TEXT)
@pytest.mark.parametrize(
    "written", ["https://bot:CANARY@example.com/x", "See https://bot:CANARY@example.com/x for more"]
)
def test_no_field_shows_a_credential(field: str, written: str) -> None:
    """The rule for every field: neither documents, details nor problems repeat a credential, and people are told."""
    result = normalized(isvc(said={field: written}, annotations={"openshift.io/display-name": written}))
    assert "CANARY" not in result.document.encode().decode() + repr(result.details) + repr(result.problems)
    if "CANARY" in written and field not in ("default", "servertype"):
        assert "warning" in {problem.severity for problem in result.problems}
