"""Writing a lock: what changes in it, and which attempt a changed family is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kdcheck.study.lock import WORDS, Lock, Past, Section
from kdcheck.study.standing import claim_reasons, shared_reasons


@dataclass(frozen=True)
class Known:
    """What a store has seen: a lock that comes after evidence is a further attempt."""

    sections: Mapping[str, Section] = field(default_factory=dict)
    """By digest: the sections under which verdicts were given."""
    trained: frozenset[tuple[str, str, int]] = frozenset()
    """Digest of the task, digest of the encoder and seed of each training."""

    def of(self, section: Section) -> bool:
        """Whether a verdict was given under a section, or a run of its data and seeds trained."""
        facts = section.facts
        return section.digest in self.sections or any(
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
    same data under another name, whatever is known: both will be looked at. A section that the lock
    does not have, and that the store has verdicts under, counts as one more.
    """
    hidden = _hidden(lock, new, known)
    for kept in lock.families.values():
        if _substance(kept) == _substance(new) and not hidden:
            return Change(lock, kept, ())
    rivals = {d: each for d, each in lock.families.items() if each.same_data(new)}
    replaced = {d: each for d, each in rivals.items() if lock.names.get(d) == name}
    seen = {d: each for d, each in replaced.items() if known.of(each)}
    beside = {d: each for d, each in rivals.items() if d not in replaced}
    counted = {d: each.facts for d, each in (beside | seen).items()}
    counted |= {d: past for d, past in lock.history.items() if new.same_data(past)}
    attempt = _attempt(new, replaced, counted, hidden, known)
    earlier = tuple(sorted({*counted, *hidden}))
    section = replace(new, plan=replace(new.plan, attempt=attempt), earlier=earlier)
    families = {d: each for d, each in lock.families.items() if d not in replaced}
    names = {d: each for d, each in lock.names.items() if d not in replaced}
    after = Lock(
        families={**families, section.digest: section},
        names={**names, section.digest: name},
        history={**lock.history, **{d: each.facts for d, each in (seen | hidden).items()}},
    )
    said = _differences(new, lock.nearest(new, name) if rivals else None)
    said += [f"The store has verdicts under the lock {d[:8]}: one more attempt." for d in hidden]
    said += [UNREGISTERED] * (not earlier and attempt > 1)
    return Change(after, section, tuple(said))


def _hidden(lock: Lock, new: Section, known: Known) -> dict[str, Section]:
    """Sections for the same data that the store has verdicts under, and the lock does not have."""
    unknown = known.sections.keys() - lock.digests
    return {d: known.sections[d] for d in sorted(unknown) if known.sections[d].same_data(new)}


def _attempt(
    new: Section,
    replaced: Mapping[str, Section],
    counted: Mapping[str, Past],
    hidden: Mapping[str, Section],
    known: Known,
) -> int:
    """The number of a new section: that of one that nobody looked at, or the next."""
    looked_at = known.of(new)
    for digest, each in () if hidden else replaced.items():
        if _only_words(each, new) or (digest not in counted and not looked_at):
            return each.attempt
    if not counted and not hidden:
        return 1 + looked_at
    before = len(hidden) + max((each.attempt for each in counted.values()), default=0)
    return 1 + max(before, *(each.attempt for each in hidden.values()), 0)


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
