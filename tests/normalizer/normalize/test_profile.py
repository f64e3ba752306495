"""What people wrote, and what Backstage gets of it."""

import pytest

from services.normalizer.normalize.licences import licence_page
from services.normalizer.normalize.owners import parse_owner
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
    ],
)
def test_owners(written: str, name: str, reference: str) -> None:
    owner = parse_owner(written)
    assert owner is not None
    assert (owner.name, owner.reference) == (name, reference)


@pytest.mark.parametrize("written", ["", " ", "\n", "!!", "团队", "@", "__", "-.-"])
def test_no_owner_can_be_made(written: str) -> None:
    assert parse_owner(written) is None


def test_owner_that_is_none_falls_back_and_is_told() -> None:
    result = normalized(isvc(said={"owner": "团队"}))
    assert model_of(result.document).owner == "rhdh-rhoai-bridge"
    assert [problem.severity for problem in result.problems] == ["warning"]
    assert "modelcatalogbridge.rhdh.io/owner" in result.problems[0].remedy


def test_group_becomes_the_user_of_its_name_and_that_is_told() -> None:
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


@pytest.mark.parametrize("name", ["llama3", "gemma", "openrail", "other", "license", "the", "", "apache", "GPL"])
def test_unknown_licences(name: str) -> None:
    assert licence_page(name) is None


def test_licence_name_becomes_link_and_annotation() -> None:
    result = normalized(isvc(said={"license": " apache-2.0\n"}))
    model = model_of(result.document)
    assert model.license == "https://spdx.org/licenses/Apache-2.0.html"
    assert model.annotations["rhdh.modelcatalog.io/license"] == "apache-2.0"
    assert result.problems == ()


def test_unknown_licence_is_kept_as_annotation() -> None:
    result = normalized(isvc(said={"license": "llama3"}))
    model = model_of(result.document)
    assert model.license is None
    assert model.annotations["rhdh.modelcatalog.io/license"] == "llama3"
    assert "'llama3'" in result.problems[0].message


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
