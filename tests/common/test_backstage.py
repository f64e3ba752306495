"""The catalog's rules for names, tags, annotation keys and links."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import backstage


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("granite-3.1-8b", "granite-31-8b"),
        ("team a!", "teama"),
        ("kube:admin", "kubeadmin"),
        ("a--b", "ab"),
        ("a_-_b", "ab"),
        ("-a-", "a"),
        ("modèle", "modle"),
        ("...", ""),
        ("x" * 70, "x" * 63),
        ("x" * 62 + "-y", "x" * 62),
    ],
)
def test_sanitising_is_the_one_that_existing_keys_were_made_with(text: str, name: str) -> None:
    assert backstage.sanitize(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("granite-3.1-8b", "granite-3.1-8b"),
        ("Granite 3.1 (8B)-V2", "Granite-3.1-8B-V2"),
        ("a--b__c..d", "a-b-c-d"),
        ("._model_.", "model"),
        ("mod\u00e8le", "mod-le"),
        ("...", ""),
        ("x" * 62 + ".y", "x" * 62),
    ],
)
def test_a_readable_name_keeps_dots_and_capitals_and_words_apart(text: str, name: str) -> None:
    assert backstage.readable(text) == name


@given(st.text())
def test_a_readable_name_is_valid_or_empty(text: str) -> None:
    name = backstage.readable(text)
    assert name == "" or backstage.is_entity_name(name)


@given(st.text())
def test_any_text_becomes_a_valid_name(text: str) -> None:
    assert backstage.is_entity_name(backstage.entity_name(text))


@given(st.text(), st.text(alphabet="0123456789abcdef", min_size=8, max_size=8))
def test_a_name_with_a_suffix_is_still_valid(text: str, suffix: str) -> None:
    name = backstage.entity_name(text)
    assert backstage.is_entity_name(backstage.with_suffix(name, suffix))


@given(st.text())
def test_any_text_becomes_a_valid_tag_or_none(text: str) -> None:
    tag = backstage.tag(text)
    assert tag is None or backstage.is_tag(tag)


@given(st.text())
def test_a_tag_is_none_only_where_nothing_of_the_text_can_stand(text: str) -> None:
    assert (backstage.tag(text) is None) == (re.search(r"[a-z0-9:+#]", text.lower()) is None)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 63])
def test_names_that_the_catalog_takes(name: str) -> None:
    assert backstage.is_entity_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "é", "x" * 64, "a-", "-a", "a--b", "a b", "a\n"])
def test_names_that_it_rejects(name: str) -> None:
    assert not backstage.is_entity_name(name)


@pytest.mark.parametrize("tag", ["Granite", "a_b", "a.b", "x" * 64, "", "a-", "a\n"])
def test_tags_that_it_drops(tag: str) -> None:
    assert not backstage.is_tag(tag)


@pytest.mark.parametrize("key", ["TechDocs", "rhdh.modelcatalog.io/model-name", "a-b.c/x_Y.z"])
def test_annotation_keys_that_it_takes(key: str) -> None:
    assert backstage.is_annotation_key(key)


@pytest.mark.parametrize(
    "key", ["Upper.io/x", "a_b.io/x", "a.io/b/c", "a.io/" + "x" * 64, "/x", "a.io/", "", "-a.io/x"]
)
def test_annotation_keys_that_it_rejects(key: str) -> None:
    assert not backstage.is_annotation_key(key)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a?b=c#d",
        "http://[::1]:8080/",
        "http://10.0.0.1:80",
        "s3://bucket_name/path",
        "oci://quay.io/org/model:1.0",
        "pvc://claim/dir",
        "hf://org/model",
        "https://münchen.example/",
        "https://xn--mnchen-3ya.example/",
        "http://svc_a.ns.svc.cluster.local",
        "models:/churn/7",
        "dbfs:/models/x",
        "mlflow-artifacts:/3/0a1b/artifacts/model",
    ],
)
def test_links(url: str) -> None:
    assert backstage.is_link(url)


@pytest.mark.parametrize(
    "text",
    [
        "apache-2.0",
        "",
        "see the wiki",
        "Note: see https://example.com",
        "https://",
        "https:///path",
        "https://exa mple.com",
        "http://host:99999/",
        "http://1.2.3.4.5/",
        "http://999.1.1.1/",
        "http://[::1",
        "//example.com/x",
        "javascript:alert(1)",
        "https://a\nb.example",
        "http://a%zz.example/",
        "http:/example.com",
        "file:/etc/passwd",
        "C:/models/x",
        "models:churn/7",
    ],
)
def test_what_is_no_link(text: str) -> None:
    assert not backstage.is_link(text)


@given(st.text())
def test_asking_whether_something_is_a_link_never_fails(text: str) -> None:
    assert backstage.is_link(f"https://{text}") in (True, False)
    assert backstage.is_link(text) in (True, False)
