"""The lock file: every section, and what became of the sections before them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kdcheck.border import MOST_TEXT, json_of, read_file
from kdcheck.errors import InputError
from kdcheck.evidence.files import digest_of
from kdcheck.evidence.lock_shapes import StoredLock
from kdcheck.evidence.shapes import departure
from kdcheck.study.lock.section import NEXT_STEP, Past, Section

FORMAT = 1
FILE = "claims.lock"
"""Its name, in the folder of the claims."""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Everything in a lock file.

    Raises:
        InputError: two families of the same data that count as one attempt.
    """

    families: Mapping[str, Section] = field(default_factory=dict)
    """By digest."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Digest: name of the scale it was last made from, for people alone."""
    history: Mapping[str, Past] = field(default_factory=dict)
    """By digest: sections that were judged and replaced; none is ever dropped."""

    def __post_init__(self) -> None:
        kept = list(self.families.items())
        for at, (digest, section) in enumerate(kept):
            for other, beside in kept[:at]:
                if section.same_data(beside) and section.attempt == beside.attempt:
                    got = f"{digest[:8]} and {other[:8]}, both attempt {section.attempt}"
                    wanted = "one attempt each: they are tries at the same data"
                    raise InputError("lock", got, wanted, NEXT_STEP)

    @property
    def digests(self) -> set[str]:
        """Digests of all that it registers or once registered."""
        return {*self.families, *self.history}

    def nearest(self, present: Section, name: str) -> Section | None:
        """The family to hold a study against: the same content, else the one that is most like it.

        A family of the same data, or else one under the same name; none, where there is neither.
        """

        def likeness(section: Section) -> tuple[Any, ...]:
            return (
                section.same_data(present),
                section.settings == present.settings,
                {task.digest for task in section.tasks.values()}
                == {task.digest for task in present.tasks.values()},
                self.names.get(section.digest) == name,
                len(section.claims.keys() & present.claims.keys()),
                section.attempt,
            )

        of_paper = [each for each in self.families.values() if each.paper == present.paper]
        found = [
            each
            for each in of_paper
            if each.same_data(present) or self.names.get(each.digest) == name
        ]
        return max(found, key=likeness, default=None)

    @property
    def text(self) -> str:
        """The file: canonical JSON, the same text for the same content."""
        values = {
            "format": FORMAT,
            "families": {digest: each.to_dict() for digest, each in self.families.items()},
            "names": dict(self.names),
            "history": {digest: asdict(each) for digest, each in self.history.items()},
        }
        return json.dumps(values, sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> Lock:
    """The lock in a file; an empty one, if there is no file.

    Raises:
        InputError: it cannot be read, or a section is not what its digest says.
    """
    if not path.exists():
        return Lock()
    who = f"lock {path}"
    try:
        values = json_of(read_file(path, limit=MOST_TEXT))
        found = values["format"] if isinstance(values, dict) else None
    except (OSError, ValueError, KeyError) as error:
        raise InputError(who, f"{error!r}", "a file of kdcheck lock", NEXT_STEP) from error
    if found != FORMAT:
        raise InputError(who, f"format {found!r}", f"format {FORMAT}", NEXT_STEP)
    if told := departure(StoredLock, values):
        raise InputError(who, told, "a file of kdcheck lock", NEXT_STEP)
    for digest, section in values["families"].items():
        if (content := digest_of(section)) != digest:
            got = f"a section {digest[:8]} whose content has the digest {content[:8]}"
            step = f"It was edited by hand. {NEXT_STEP}"
            raise InputError(who, got, "what kdcheck lock wrote", step)
    history = {
        digest: Past(**{**past, "tasks": tuple(past["tasks"]), "encoders": tuple(past["encoders"])})
        for digest, past in values["history"].items()
    }
    families = {digest: Section.from_dict(each) for digest, each in values["families"].items()}
    return Lock(families=families, names=values["names"], history=history)
