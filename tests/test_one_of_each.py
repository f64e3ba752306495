"""What there is only one of in the whole code: one source of randomness, one trust store."""

import re

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


def test_contexts_that_verify_servers_are_made_in_one_module() -> None:
    makes = re.compile(r"create_default_context|SSLContext\(|load_verify_locations|load_default_certs")
    found = {name_of(path) for path in CODE if makes.search(path.read_text(encoding="utf-8"))}

    assert found == {"common/trust.py"}
