"""Whatever our rules let through, the real catalog takes; and so the rules of `common.backstage` are Backstage's."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from common.backstage import is_annotation_key, is_entity_name, is_link, is_tag
from common.catalog import Api, CatalogDocument, Model, ModelServer
from tests.backstage.conftest import StartBackstage
from tests.backstage.readers import Reader
from tests.backstage.rig import BACKEND, reference
from tests.backstage.static_feed import StaticFeed

CASES = 20_000
"""Values tried per rule, in addition to those written down."""

NAMES = [
    *("a", "A", "0", "a" * 63, "a-b_c.d", "A.B", "a" * 64, "", "-a", "a-", "a--b", "a.-b", "ä", "a b", "a/b", "a:b"),
    *("__proto__", "constructor", "toString", "null", "true", "a\n", "a\u0301", "ａ", "٣"),
]
TAGS = [
    *("a", "c++", "c#", "a:b", "a-b", "1", "-", "a--b", "a-", "A", "a_b", "a.b", "a" * 63, "a" * 64, "é", "a b", "a\n"),
    *("::", "+#", "٣"),
]
KEYS = [
    *("a", "a/b", "a.b/c", "a.b-c.d/E_f.g", "A/b", "a_b/c", "a/b/c", "a/", "/a", "a" * 63, "a/" + "b" * 63, "TechDocs"),
    *(
        "a/" + "b" * 64,
        "a.b./c",
        "-a.b/c",
        "a..b/c",
        "x" * 63 + ".y/z",
        "x" * 64 + ".y/z",
        ".".join(["x" * 60] * 4) + "/z",
    ),
    *(
        ".".join(["x" * 60] * 5) + "/z",
        "é/a",
        "constructor",
        "__proto__",
        "a\n",
        "rhdh.modelcatalog.io/model-name",
        "1/2",
    ),
]
LINKS = [
    *("https://a.example", "http://a", "s3://b/k", "oci://r.example/a:1", "hf://o/m", "pvc://c/p", "gs://b", "a", ""),
    *(
        "apache-2.0",
        "see below",
        "Note: see below",
        "http://",
        "https:///a",
        "http://a b",
        "http://[::1]:80/",
        "http://[::1",
    ),
    *("http://a:99999/", "http://a:x/", "http://1.2.3.4/", "http://1.2.3/", "http://256.1.1.1/", "http://1.2.3.4.5/"),
    *(
        "http://é.example/ü?ö#ß",
        "http://xn--a/",
        "http://xn--/",
        "http://a%20b/",
        "http://a%/",
        "http://a_b/",
        "http://a..b/",
    ),
    *(
        "https://u:p@h.example/",
        "http://-a-/",
        "http://a/%zz",
        "s3://",
        "s3://%/",
        "s3://a b",
        "javascript:alert(1)",
        "data:,a",
    ),
    *(
        "http://0x7f.1/",
        "http://0x/",
        "http://a.0x1/",
        "http://a.09/",
        "http://a<b/",
        "http://a^b/",
        "ftp://a|b/",
        "ws://h/",
    ),
    *(
        "file:///a",
        "file://h/a",
        "oci://[a/",
        "oci://a]b/",
        "oci://a:b/",
        "oci://a:99999/",
        "oci://a@b:c/d",
        "oci://<a>/",
    ),
    *(
        "http://a\\b/",
        "http://a.example:/",
        "http://\u00ad/",
        "http://\u2488.example/",
        "http://" + "a" * 300 + "/",
        "http://..",
    ),
    *(
        "oci://a\u200bb/",
        "http://a.b.",
        "http://1./",
        "http://1../",
        "http://⑴.example/",
        "http://a\ufdd0.example/",
        "http://../",
    ),
]


class Rule(NamedTuple):
    """A rule of ours, values that a careless person or an enemy would try, and characters to spoil them with."""

    lets_through: Callable[[str], bool]
    values: list[str]
    spoilers: str

    def accepted(self) -> list[str]:
        """The values written down that the rule lets through."""
        return [value for value in self.values if self.lets_through(value)]


RULES = {
    "names": Rule(is_entity_name, NAMES, "aZ9-_./:é \n"),
    "tags": Rule(is_tag, TAGS, "aZ9-_.:+#é \n"),
    "annotationKeys": Rule(is_annotation_key, KEYS, "aZ9-_./é \n"),
    "links": Rule(is_link, LINKS, "axn0179-_./:@%[]?#\\^|<>éß\u00ad\u2488ʼ\u200d١אa\u0301İ&=~!$'()*+,;\"`{}"),
}


def spoilt(values: list[str], spoilers: str, count: int = CASES) -> Iterator[str]:
    """Yield `count` of the values with up to four characters put in or replaced, the same ones in every run."""
    chance = random.Random(63)  # noqa: S311 - for variety, not for secrets
    for _ in range(count):
        text = chance.choice(values)
        for _ in range(chance.randint(0, 4)):
            place = chance.randint(0, len(text))
            text = text[:place] + chance.choice(spoilers) + text[place + chance.randint(0, 1) :]
        yield text


async def test_what_our_rules_let_through_the_validators_of_the_catalog_accept() -> None:
    tried = {
        name: sorted({value for value in spoilt(rule.values, rule.spoilers) if rule.lets_through(value)})
        for name, rule in RULES.items()
    }
    assert min(map(len, tried.values())) > CASES / 100, "nearly everything refused: that would prove nothing"
    judge = await asyncio.create_subprocess_exec(
        "node", "refused.js", cwd=BACKEND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    refused, _ = await judge.communicate(json.dumps(tried).encode())
    assert json.loads(refused) == {name: [] for name in RULES}


def one_model(number: int, **fields: object) -> CatalogDocument:
    """A document whose model is named after `number`, unless told."""
    given = {"name": f"m{number}", "owner": "o", "lifecycle": "l", "description": "", **fields}
    return CatalogDocument(models=(Model.model_validate(given),))


def one_server(number: int, link: str) -> CatalogDocument:
    api = Api(url=link, type="openapi", spec="TBD")
    server = ModelServer(
        name=f"s{number}", owner="o", lifecycle="l", description="", api=api, authentication=False, homepage_url=link
    )
    return one_model(number, artifact_location_url=link).model_copy(update={"model_server": server})


async def test_what_our_documents_can_hold_the_catalog_keeps_whole(start_backstage: StartBackstage) -> None:
    names = sorted({name.lower(): name for name in RULES["names"].accepted()}.values())
    tags, keys, links = (RULES[rule].accepted() for rule in ("tags", "annotationKeys", "links"))
    documents = [one_model(0, name=name, owner=name) for name in names]
    documents.append(one_model(1, tags=tuple(tags), annotations=dict.fromkeys(keys, "v")))
    documents += [one_server(number, link) for number, link in enumerate(links, start=2)]
    feed = StaticFeed({f"d_{n}": json.loads(each.encode()) for n, each in enumerate(documents)}, cards={})
    async with feed.serving(), start_backstage(Reader.FIRST_GENERATION, feed.base_url) as backstage:
        await backstage.read_again()
        entities = {reference(entity): entity for entity in await backstage.settled()}
        assert await backstage.refusals() == [], await backstage.explain()

    owners = {name: entities[f"resource:default/{name.lower()}"]["spec"]["owner"] for name in names}
    assert owners == {name: f"user:{name}" for name in names}
    held = entities["resource:default/m1"]["metadata"]
    assert held["tags"] == tags
    assert {key for key in keys if key != "TechDocs"} <= held["annotations"].keys()
    for number, link in enumerate(links, start=2):
        for kind, count in (("component", 2), ("api", 1), ("resource", 1)):
            holder = entities[f"{kind}:default/{'m' if kind == 'resource' else 's'}{number}"]
            assert [each["url"] for each in holder["metadata"]["links"]] == [link] * count
