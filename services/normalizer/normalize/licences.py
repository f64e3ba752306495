"""Finds the page of a licence by its name: models mostly name their licence, and Backstage wants a link."""

import re

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_VERSION_MARK = re.compile(r"v(?=\d)")
_FILLER = frozenset({"the", "community", "license", "licence", "version", "software", "public", "general", "only"})

# The licences that models are published under, by their SPDX identifiers (spdx.org/licenses). The GNU family is
# listed under the identifiers that replaced the short ones: GPL-3.0 became GPL-3.0-only.
_IDENTIFIERS = """
0BSD AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause
BSD-3-Clause-Clear BSD-4-Clause BSL-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0
CC-BY-NC-4.0 CC-BY-NC-ND-3.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0
CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0 CECILL-2.1 ECL-2.0
EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 GFDL-1.3-only GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later ISC
LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later LPPL-1.3c MIT MIT-0 MPL-1.1 MPL-2.0 MS-PL NCSA
ODC-By-1.0 ODbL-1.0 OFL-1.1 OSL-3.0 PDDL-1.0 PostgreSQL Python-2.0 Unlicense UPL-1.0 WTFPL Zlib ZPL-2.1
"""
_OTHER_NAMES = {
    "AGPL-3.0-only": ("agpl 3", "GNU AGPL 3", "GNU Affero General Public License 3.0"),
    "Apache-2.0": ("Apache 2", "ASL 2.0", "ALv2"),
    "BSD-2-Clause": ("2-Clause BSD", "Simplified BSD"),
    "BSD-3-Clause": ("BSD", "3-Clause BSD", "New BSD", "Modified BSD"),
    "CC-BY-4.0": ("Creative Commons Attribution 4.0", "Creative Commons Attribution 4.0 International"),
    "CC0-1.0": ("CC0",),
    "GPL-2.0-only": ("GPL 2", "GNU GPL 2", "GNU General Public License 2.0"),
    "GPL-3.0-only": ("GPL 3", "GNU GPL 3", "GNU GPL 3.0", "GNU General Public License 3.0"),
    "LGPL-3.0-only": ("LGPL 3", "GNU LGPL 3", "GNU Lesser General Public License 3.0"),
    "MIT": ("Expat",),
    "MPL-2.0": ("MPL 2", "Mozilla Public License 2.0"),
    "ODC-By-1.0": ("ODC-By",),
    "ODbL-1.0": ("ODbL",),
    "PDDL-1.0": ("PDDL",),
}


# Licences of model families, which SPDX does not list: their names on Hugging Face, and where they are.
_MODEL_LICENCES = {
    "llama2": "https://www.llama.com/llama2/license/",
    "llama3": "https://www.llama.com/llama3/license/",
    "llama3.1": "https://www.llama.com/llama3_1/license/",
    "llama3.2": "https://www.llama.com/llama3_2/license/",
    "llama3.3": "https://www.llama.com/llama3_3/license/",
    "llama4": "https://www.llama.com/llama4/license/",
    "gemma": "https://ai.google.dev/gemma/terms",
}


def licence_identifier(name: str) -> str | None:
    """Return the SPDX identifier of a licence by its identifier or a usual name, or None when it is unknown."""
    return _LICENCES.get(_plain(name))


def licence_page(name: str) -> str | None:
    """Return the address of a licence's page by its identifier or a usual name, or None when it is unknown.

    It is the page of SPDX, or of the publisher of a family of models.
    """
    identifier = licence_identifier(name)
    return f"https://spdx.org/licenses/{identifier}.html" if identifier else _PAGES.get(_plain(name))


def _plain(name: str) -> str:
    """Return the name of a licence without punctuation, case and words that many names have."""
    lowered = _VERSION_MARK.sub("", name.lower().replace("+", " or later"))
    return "".join(word for word in _NOT_ALPHANUMERIC.split(lowered) if word not in _FILLER)


_LICENCES = {_plain(identifier): identifier for identifier in _IDENTIFIERS.split()} | {
    _plain(name): identifier for identifier, names in _OTHER_NAMES.items() for name in names
}
_PAGES = {_plain(name): page for name, page in _MODEL_LICENCES.items()}
