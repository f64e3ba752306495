"""Whether an InferenceService is shown: at once when it is ready, for a grace when it stops being so.

A model server that restarts is not ready for a moment; it must not blink out of Backstage. Pure: the clock is given.
"""

from dataclasses import dataclass

from services.normalizer.normalize.deployment import Deployment


@dataclass(frozen=True, slots=True)
class Judgement:
    """`facts` to show it with, None when it is not shown.

    `retained`: it was shown before we started and is not ready now, so what is stored of it stays as it is. `until`:
    when to judge again, in the clock's seconds.
    """

    facts: Deployment | None = None
    retained: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True)
class _Lapse:
    since: float
    facts: Deployment | None


class Presence:
    """Remembers who was ready last, and since when it is not."""

    def __init__(self, *, grace: float) -> None:
        """`grace` in seconds."""
        self._grace = grace
        self._ready: dict[str, Deployment] = {}
        self._lapses: dict[str, _Lapse] = {}

    def judge(self, ref: str, isvc: Deployment, *, now: float, shown_before: bool) -> Judgement:
        """Return whether `isvc` is shown at `now`; `shown_before`: an earlier run of ours has shown it."""
        if isvc.readiness.ready:
            self._ready[ref] = isvc
            self._lapses.pop(ref, None)
            return Judgement(isvc)
        if isvc.readiness.stopped:
            self.forget(ref)
            return Judgement()
        lapse = self._lapses.get(ref)
        if lapse is None:
            if ref not in self._ready and not shown_before:
                return Judgement()
            lapse = self._lapses[ref] = _Lapse(now, self._ready.pop(ref, None))
        until = lapse.since + self._grace
        if now >= until:
            return Judgement()
        return Judgement(lapse.facts, retained=lapse.facts is None, until=until)

    def forget(self, ref: str) -> None:
        """Forget an isvc that is gone."""
        self._ready.pop(ref, None)
        self._lapses.pop(ref, None)
