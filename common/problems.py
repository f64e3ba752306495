"""What is wrong with an object, for the person who can fix it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
"""`error`: the object is not served; `warning`: something of it was lost; `info`: it was changed to fit."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One recorded problem.

    `object` names the thing as its owner knows it (`InferenceService models/plain`), `remedy` what to do there.
    """

    severity: Severity
    object: str
    message: str
    remedy: str
