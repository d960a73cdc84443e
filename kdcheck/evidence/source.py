"""Where evidence can be read from: one small interface for the MLflow store and for a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kdcheck.evidence.record import Evidence


@dataclass(frozen=True, kw_only=True)
class ClaimRecord:
    """What was judged of one claim at one scale, as it is stored beside the trainings.

    Put nothing in it that differs between two sessions with the same outcome, such as a date: a
    record that says the same as the stored one is not written again.

    Source: a row of the verdict table.

    >>> record = ClaimRecord(
    ...     claim_id="ls_raises_entropy[sst2]", scale="embedded", evidence=(), note="# LS"
    ... )
    >>> ClaimRecord.from_dict(record.to_dict()) == record
    True
    """

    claim_id: str
    """The claim, as ``ls_raises_entropy[sst2]``."""
    scale: str
    """The scale it was judged at."""
    evidence: tuple[str, ...]
    """Digests of the trainings it rests on."""
    note: str
    """Markdown for the top of the run's page; the first three lines show without a click."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What the UI filters by: ``verdict``, ``where``, ..."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the UI sorts by: ``effect``, ``ci_low``, ``n_seeds``, ..."""
    params: Mapping[str, str] = field(default_factory=dict)
    """The criterion: margin, quantifier, looks, ..."""
    files: tuple[str, ...] = ()
    """Names of the files stored with it; :meth:`EvidenceSource.claim_file` reads one."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without the file names, which the manifest beside it holds."""
        return {
            "claim_id": self.claim_id,
            "scale": self.scale,
            "evidence": list(self.evidence),
            "note": self.note,
            "tags": dict(self.tags),
            "metrics": dict(self.metrics),
            "params": dict(self.params),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], files: Iterable[str] = ()) -> ClaimRecord:
        """Make a record from the mapping that :meth:`to_dict` gives."""
        fields = {**values, "evidence": tuple(values["evidence"])}
        return cls(**fields, files=tuple(files))


class EvidenceSource(Protocol):
    """What verdicts are computed from, wherever it is kept.

    Source: none.

    >>> from kdcheck.evidence.bundle import Bundle
    >>> all(hasattr(Bundle, name) for name in ("digests", "get", "metrics", "claims"))
    True
    """

    def digests(self) -> set[str]:
        """Digests of all finished trainings."""
        ...

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        """Evidence of one training, every file checked.

        Args:
            digest: of its recipe.
            trajectory: also the logits of the points before the last; without it those points
                carry their values only.

        Raises:
            EvidenceError: there is none, or a file is missing or damaged.
        """
        ...

    def metrics(self, digests: Iterable[str]) -> dict[str, Mapping[str, float]]:
        """Final metrics by digest, without reading a posterior."""
        ...

    def claims(self) -> tuple[ClaimRecord, ...]:
        """The current record of each claim at each scale."""
        ...

    def claim_file(self, record: ClaimRecord, name: str) -> bytes:
        """One of the files stored with a claim, checked."""
        ...
