"""Annotations that mean nothing, and which one was meant."""

import pytest

from services.normalizer.normalize.stated import misspellings


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("rhdh.io/ownr", "rhdh.io/owner"),
        ("rhdh.io/how-to-uze", "rhdh.io/howtouse"),
        ("rhdh.io/home-page", "rhdh.io/homepageurl"),
        ("rhdh.io/servertyp", "rhdh.io/serverType"),
        ("modelcatalogbridge.rhdh.io/licence", "modelcatalogbridge.rhdh.io/license"),
        ("modelcatalogbridge.rdhd.io/owner", "modelcatalogbridge.rhdh.io/owner"),
        ("rhdh.modelcatalog.io/modelname", "rhdh.modelcatalog.io/model-name"),
        ("rhdh.io/ignore", "rhdh.modelcatalog.io/ignore"),
        ("rhdh.modelcatalog.io/lifecycle", "rhdh.io/lifecycle"),
        ("rhdh.modelcatalog.io/serverType", "rhdh.io/serverType"),
        ("rhdh.io/zzzzz", ""),
    ],
)
def test_what_was_meant(key: str, meant: str) -> None:
    assert [found.meant for found in misspellings([key])] == [meant]


@pytest.mark.parametrize(
    "key",
    [
        "rhdh.io/owner",
        "rhdh.io/homepageURL",
        "rhdh.io/model-granite",
        "rhdh.io/catalog-source",
        "rhdh.io/ai-asset-version",
        "rhdh.modelcatalog.io/model-name",
        "openshift.io/display-name",
        "serving.kserve.io/deploymentMode",
        "backstage.io/kubernetes-id",
        "owner",
        "",
    ],
)
def test_what_means_something_or_is_none_of_ours(key: str) -> None:
    assert list(misspellings([key])) == []
