"""docs/clusters.md and the schema say what the file of clusters may hold."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from scripts.clusters_schema import SCHEMA, schema
from services.normalizer.clusters_file import ClusterEntry, ClustersFileError, parse_clusters

PAGE = SCHEMA.with_name("clusters.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```yaml\n(# yaml-language-server.*?)```", PAGE, flags=re.DOTALL)[0]


def test_the_schema_is_that_of_the_model() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema(), "write it again: .venv/bin/python -m scripts.clusters_schema"


def test_the_example_is_valid_for_the_connector_and_for_editors() -> None:
    parse_clusters(EXAMPLE, Path("/etc/clusters.yaml"))
    jsonschema.validate(yaml.safe_load(EXAMPLE), json.loads(schema()))


def test_every_field_is_explained() -> None:
    fields = {str(field.alias) for field in ClusterEntry.model_fields.values()}
    table = PAGE.split("| field | meaning |")[1].split("\n\n")[0]
    assert {name for name in fields if f"`{name}`" not in table} == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1, clusters: this field is missing"),
        ("clusters: []", "line 1, clusters: expected at least one"),
        ("clusters: [", "line 1: not YAML"),
        ("- a", "line 1, the file: expected fields"),
        ("clusters:\n  - name: a\n    name: b", "line 3: not YAML: name is there twice"),
        ("clusters:\n  - name: a\n  - name: a", "two clusters have the same name: a"),
        ("clusters:\n  - name: a\n  - name: b", "only the connector's own may"),
        ("clusters:\n  - name: Prod", "line 2, clusters[0].name: expected lower-case"),
        ("clusters:\n  - name: a\n    kubeconfg: x", "line 3, clusters[0].kubeconfg: there is no such field"),
        ("clusters:\n  - name: a\n    context: x", "line 2, clusters[0]: context is a part of a kubeconfig"),
        ("clusters:\n  - name: a\n    url: https://x", "line 2, clusters[0]: url needs tokenFile"),
        ("clusters:\n  - name: a\n    kubeconfig: k\n    url: https://x", "expected kubeconfig or url, not both"),
        ("clusters:\n  - name: a\n    caFile: f", "line 2, clusters[0]: tokenFile, caFile and caData belong to url"),
        (
            "clusters:\n  - name: a\n    defaultOwner: '?'",
            "line 3, clusters[0].defaultOwner: expected an owner such as ml-team",
        ),
        ("clusters:\n  - name: a\n    url: http://x\n    tokenFile: t", "line 3, clusters[0].url: expected https"),
        ("clusters:\n  - name: a\n    system: a b", "line 3, clusters[0].system: expected the name of"),
        ("clusters:\n  - name: a\n    id: shared", "line 3, clusters[0].id: 'shared' is taken"),
        (
            "clusters:\n  - name: a\n    url: https://x\n    tokenFile: t\n    caData: what",
            "line 5, clusters[0].caData: expected a certificate",
        ),
        ("clusters:\n  - name: a\nsharedRegistries:\n  - url: 7", "line 4, sharedRegistries[0].url: expected a text"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(text: str, expected: str) -> None:
    with pytest.raises(ClustersFileError) as raised:
        parse_clusters(text, Path("/etc/clusters.yaml"))
    assert expected in str(raised.value)
    assert str(raised.value).startswith("CLUSTERS_FILE /etc/clusters.yaml, line ")
