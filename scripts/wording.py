"""Phrases that are not used in code, messages and documents, with what to write instead: part of `make check`.

`python -m scripts.wording` prints each use as FILE:LINE and ends with status 1 when there are any. To ban a phrase, add
it to `PHRASES`. Text that others wrote (recorded answers, model cards) is not checked: see `NOT_OURS`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PLACES = ("common", "services", "scripts", "tests", "benchmarks", "docs", "deploy", "examples", ".ci")
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "Dockerfile", "pyproject.toml")
SUFFIXES = {"", ".md", ".py", ".yaml", ".yml", ".toml", ".in"}
NOT_OURS = (
    "tests/golden/",
    "tests/deploy/fixtures/",
    "scripts/wording.py",
    "tests/scripts/",
    "node_modules/",
    "/dist/",
)

PHRASES = {
    r"tells? whether": "return whether, say whether",
    r"anew": "again",
    r"mend(s|ed|ing)?": "fix, repair, correct",
    r"pass(es|ed)? over": "skip, ignore",
    r"no absolute URL": "an invalid URL",
    r"whereupon|upon which": "after which, and then",
    r"henceforth|hereby|thereby|therein|wherein|thereupon|lest": "now, here, in it, so that … not",
    r"for ever": "forever, without end",
    r"likewise": "also, too",
    r"as it were": "(leave it out)",
    r"once more": "again",
    r"what (becomes|became) of": "what happens to, how … is shown",
    r"tells? of": "report, describe, say",
    r"whoever|whomever": "anyone who, the one that",
    r"nobody's (news|business|fault)": "say plainly why it is ignored",
    r"(if )?so meant": "if that is intended",
    r"(that|which|what) (is|are) none": "that is not one, invalid",
    r"(had|it was|they were|of it) stays?": "is kept",
    r"by and by": "after a while",
    r"shall": "should, must",
    r"of theirs": "their",
    r"(names?|lists?|has|have) (it|them) no more": "no longer names it",
    r"(error|fault) of ours": "an internal error",
    r"as grave as|graver": "at least as severe as",
    r"fares?|fared|faring": "how it is, what happened to it",
    r"(is|are|was) (no )?news": "say what changed, or that it is already known",
    r"in the place of": "instead of",
    r"goes before": "takes precedence over, wins over",
    r"chokes?( on)?": "fails on, cannot read",
    r"as good as": "almost, the same as",
    r"of old": "earlier, old",
    r"(in|not in) so many words": "literally",
    r"heed(s|ed|ing)?": "follow, use, read",
    r"at (its |their )?leisure": "later, when there is time",
    r"every now and then": "regularly, every N seconds",
    r"whole again": "complete again, repaired",
    r"with commas between": "separated by commas",
    r"(in|of) the second format": "in the format CatalogInfoYamlFormat",
    r"moreover|hence": "also, so",
    r"in consequence": "so, therefore",
    r"somebody": "someone, an administrator, another program",
    r"(?<!\")nobody(?!\")": "no one; in quotes it may be an account's name",
    r"strangers?": "an unknown or untrusted X, another program",
    r"beside": "next to, with, besides, in addition to",
    r"(problem|fault|error|change|departure|removal)s? (is|are) told": "is reported, logged, shown",
    r"_?let_go|kick|read_by_stranger": "a name that says what it does: withdraw, wake, read_by_others",
}
"""Regular expressions, found as whole words in any case, also in names with underscores, and what to write instead."""

_GAP = r"\s+(?:#\s*)?"
"""What may stand between two words: also the end of a line, and the beginning of the next one of a comment."""
_BANNED = {
    re.compile(rf"(?<![^\W_]|-)(?:{phrase.replace(' ', _GAP)})(?![^\W_]|-)", re.IGNORECASE): advice
    for phrase, advice in PHRASES.items()
}


class Use(NamedTuple):
    """One use of a banned phrase, in the line where it begins (the first line is 1)."""

    line: int
    phrase: str
    advice: str


def uses(text: str) -> list[Use]:
    """Return the uses of banned phrases in a text, from top to bottom."""
    found = [(match, advice) for pattern, advice in _BANNED.items() for match in pattern.finditer(text)]
    return sorted(
        Use(text.count("\n", 0, match.start()) + 1, " ".join(match[0].replace("#", " ").split()), advice)
        for match, advice in found
    )


def files() -> Iterator[Path]:
    """Return the files whose words are ours."""
    for name in FILES:
        yield ROOT / name
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*")):
            relative = path.relative_to(ROOT).as_posix()
            if path.suffix in SUFFIXES and path.is_file() and not any(part in relative for part in NOT_OURS):
                yield path


def main() -> int:
    """Print the uses in all files, and return the status to end with."""
    count = 0
    for path in files():
        for use in uses(path.read_text(encoding="utf-8")):
            count += 1
            print(f'{path.relative_to(ROOT)}:{use.line}: "{use.phrase}": write: {use.advice}')  # noqa: T201
    if count:
        print(f"{count} uses of phrases that scripts/wording.py bans; write them as it says")  # noqa: T201
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
