"""Writing a lock: what changes in it, and which attempt a changed family is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kdcheck.study.lock import WORDS, Lock, Past, Section
from kdcheck.study.standing import claim_reasons, shared_reasons


@dataclass(frozen=True)
class Known:
    """What a store has seen: a lock that comes after evidence is a further attempt."""

    locks: frozenset[str] = frozenset()
    """Digests of the sections under which verdicts were given."""
    trained: frozenset[tuple[str, str, int]] = frozenset()
    """Digest of the task, digest of the encoder and seed of each training."""

    def of(self, section: Section) -> bool:
        """Whether a verdict was given under a section, or a run of its data and seeds trained."""
        facts = section.facts
        return section.digest in self.locks or any(
            task in facts.tasks and encoder in facts.encoders and seed in section.seeds
            for task, encoder, seed in self.trained
        )


NOTHING_KNOWN = Known()
UNREGISTERED = (
    "The store has runs of these tasks, encoders and seeds from before anything was registered: they count "
    "as the first attempt. Seeds that nobody looked at (first_seed in the scale) would make this the first."
)


@dataclass(frozen=True)
class Change:
    """A lock after a family was registered, and what became different, in words."""

    lock: Lock
    section: Section
    said: tuple[str, ...]
    """Nothing, if the lock registers the same already."""


def register(lock: Lock, new: Section, name: str, known: Known = NOTHING_KNOWN) -> Change:
    """Register a family under the name of its scale.

    The section of that name and data is replaced. If evidence of it is known it goes into the history
    and the new one is a further attempt, unless words alone changed; so it is beside a family of the
    same data under another name, whatever is known: both will be looked at.
    """
    for kept in lock.families.values():
        if _substance(kept) == _substance(new):
            return Change(lock, kept, ())
    rivals = {d: each for d, each in lock.families.items() if each.same_data(new)}
    replaced = {d: each for d, each in rivals.items() if lock.names.get(d) == name}
    seen = {d: each for d, each in replaced.items() if known.of(each)}
    counted: dict[str, Section | Past] = {d: p for d, p in lock.history.items() if new.same_data(p)}
    counted |= {d: each for d, each in rivals.items() if d not in replaced or d in seen}
    said = list(_differences(new, next(iter(replaced.values()), None)))
    if not counted and known.of(new):
        said.append(UNREGISTERED)
    attempt = _attempt(new, replaced, counted, known)
    earlier = tuple(sorted(counted))
    section = replace(new, plan=replace(new.plan, attempt=attempt), earlier=earlier)
    families = {d: each for d, each in lock.families.items() if d not in replaced}
    names = {d: each for d, each in lock.names.items() if d not in replaced}
    after = Lock(
        families={**families, section.digest: section},
        names={**names, section.digest: name},
        history={**lock.history, **{d: each.facts for d, each in seen.items()}},
    )
    return Change(after, section, tuple(said))


def _attempt(
    new: Section,
    replaced: Mapping[str, Section],
    counted: Mapping[str, Section | Past],
    known: Known,
) -> int:
    """The number of a new section: that of one that nobody looked at, or the next."""
    reworded = [each.attempt for each in replaced.values() if _only_words(each, new)]
    if reworded:
        return reworded[0]
    looked_at = known.of(new)
    free = [each.attempt for d, each in replaced.items() if d not in counted]
    if free and not looked_at:
        return free[0]
    return 1 + max((each.attempt for each in counted.values()), default=int(looked_at))


def _substance(section: Section) -> Section:
    """A section without what registering adds to it."""
    return replace(section, plan=replace(section.plan, attempt=1), earlier=())


def _only_words(old: Section, new: Section) -> bool:
    """Whether nothing that decides a verdict differs."""
    return _without_words(_substance(old)) == _without_words(_substance(new))


def _without_words(section: Section) -> Section:
    claims: Mapping[str, Mapping[str, object]] = {
        claim: {name: value for name, value in entry.items() if name not in WORDS}
        for claim, entry in section.claims.items()
    }
    return replace(section, claims=claims)


def _differences(new: Section, old: Section | None) -> list[str]:
    """What became different, claim by claim."""
    if old is None:
        return [f"{len(new.claims)} claims are registered for the first time."]
    said = list(shared_reasons(new, old))
    for claim, reasons in claim_reasons(new, old).items():
        if claim not in old.claims:
            said.append(f"{claim}: is new.")
        else:
            said += [f"{claim}: {reason}" for reason in reasons]
    said += [f"{claim}: is gone." for claim in sorted(old.claims.keys() - new.claims.keys())]
    return said or ["What is said of the data is written anew."]
