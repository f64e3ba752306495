"""What there is only one of in the whole code: a source of randomness, a clock, a trust store, a reader of text."""

import ast
import re
from collections import defaultdict

from tests.sourcecode import imported, modules, name_of, parse, uses

CODE = modules("common", "services")


def test_randomness_comes_from_one_module() -> None:
    generators = {"random", "secrets", "uuid", "numpy.random"}
    found = {
        name_of(path)
        for path in CODE
        if imported(path) & generators or any(uses(parse(path), "os.urandom", "os.getrandom", "ssl.RAND_bytes"))
    }

    assert found == {"common/randomness.py"}


CLOCKS = "common/clocks.py"
SHOWN_TIMES = {
    "common/health.py",
    "services/connector/doctor/asking.py",
    "services/connector/doctor/steps.py",
    "services/location/app.py",
    "services/location/service_tokens.py",
    "services/location/shelf.py",
    "services/location/status/readers.py",
    "services/location/status/report.py",
    "services/normalizer/sources/kserve/event_writer.py",
}
"""The modules that show the system's time to people or compare it with another machine's."""


def test_intervals_are_measured_with_the_clock_of_the_event_loop() -> None:
    system = (
        *("time.time", "time.monotonic", "time.time_ns"),
        *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    )
    assert {name_of(path) for path in CODE if any(uses(parse(path), *system))} == {CLOCKS}
    found = {name_of(path) for path in CODE if any(uses(parse(path), "wall_time"))} - {CLOCKS}

    assert found == SHOWN_TIMES, "use common.clocks.loop_time; time.perf_counter is for measuring how long work took"


def test_what_shows_the_time_is_given_the_clock() -> None:
    for path in [path for path in CODE if name_of(path) != CLOCKS]:
        tree = parse(path)
        defaults: list[ast.expr | None] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.arguments):
                defaults += [*node.defaults, *node.kw_defaults]
            elif isinstance(node, ast.AnnAssign):
                defaults.append(node.value)

        assert [each.lineno for each in uses(tree, "wall_time") if each not in defaults] == [], name_of(path)


PLAIN_PAUSES = {
    "common/kube/client.py": "the pause that its caller asks for, in parts",
    "services/normalizer/clusters_file.py": "looks at a file",
    "services/normalizer/sources/kserve/event_writer.py": "spreads writes that succeed",
    "services/normalizer/sources/manifests.py": "looks at files",
    "services/storage_rest/registration.py": "looks at the cache; its attempts have a Backoff",
}
"""The modules that sleep for a time of their own: they do not try again after a failure."""


def test_what_tries_again_has_one_way_to_pause() -> None:
    found = set()
    for path in CODE:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("asyncio.sleep", "time.sleep"):
                [pause] = node.args
                if not re.search(r"^0$|\.next\(\)|^spread\(", ast.unparse(pause)):
                    found.add(name_of(path))

    assert found == PLAIN_PAUSES.keys(), "use common.backoff: Backoff after failures, spread for intervals"


OWN_TEXTS = {
    "common/http/ports.py": "files of the kernel",
    "common/strict_json.py": "refuses what is not Unicode",
    "common/wire/fields.py": "encoded by this process",
    "services/connector/doctor/access.py": "reads a number",
    "services/connector/doctor/bundle.py": "lines of our own log",
    "services/connector/entities.py": "rendered by this process",
    "services/connector/reports.py": "documents of this process",
    "services/location/rendering.py": "checked by strict_json",
    "services/normalizer/sources/manifest_schema.py": "a file of this package",
    "services/storage_rest/app.py": "encoded by this process, or a file of this package",
    "services/storage_rest/stores/local.py": "written by this process",
}
"""The modules that read JSON or text files by themselves: no one else writes them, or they have checks of their own."""


def test_text_of_others_is_read_in_one_place() -> None:
    found = set()
    for path in CODE:
        called = {ast.unparse(node.func) for node in ast.walk(parse(path)) if isinstance(node, ast.Call)}
        if any(name.endswith((".read_text", "json.loads", "json.load")) for name in called):
            found.add(name_of(path))

    assert found - {"common/texts.py"} == OWN_TEXTS.keys(), "use common.texts: read_file and parse_json"


def test_single_requests_are_repeated_in_one_place() -> None:
    assert {name_of(path) for path in CODE if "stamina" in imported(path)} == {"common/http/client.py"}


SAME_BY_CHANCE = {
    "archived": "a cause for which an entry is hidden, and a stage of MLflow",
    "InferenceService": "a kind of objects that Backstage shows, and a word by which files are recognised",
    "manifests": "the source that reads files, and a folder in a bundle",
}
"""Constants with the same text that say different things."""


def test_a_constant_has_one_place() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in CODE:
        for node in parse(path).body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and len(value.value) >= 8:
                places[value.value].append(name_of(path))

    assert {text: found for text, found in places.items() if len(found) > 1 and text not in SAME_BY_CHANCE} == {}


def test_only_the_transports_open_and_accept_connections() -> None:
    opens = re.compile(r"(TCP|Unix)(Connector|Site)|ClientSession\(|create_server|(open|create)_connection\(")
    found = {name_of(path) for path in CODE if opens.search(path.read_text(encoding="utf-8"))}

    assert found == {"common/http/client.py", "common/http/transports.py"}, "use HttpClient and listening"


def test_contexts_that_verify_servers_are_made_in_one_module() -> None:
    makes = re.compile(r"create_default_context|SSLContext\(|load_verify_locations|load_default_certs")
    found = {name_of(path) for path in CODE if makes.search(path.read_text(encoding="utf-8"))}

    assert found == {"common/trust.py"}
