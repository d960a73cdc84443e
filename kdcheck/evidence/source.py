"""Where evidence can be read from: one small interface for the MLflow store and for a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kdcheck.evidence.evidence import Evidence
from kdcheck.evidence.judged import Judged


class EvidenceSource(Protocol):
    """What verdicts are computed from, wherever it is kept."""

    def digests(self) -> set[str]:
        """Digests of all finished trainings."""
        ...

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        """Evidence of one training, every file checked; with earlier points' logits on demand."""
        ...

    def claims(self, *, paper: str | None = None, scale: str | None = None) -> tuple[Judged, ...]:
        """The current record of each claim by paper, scale and id; of one paper or scale on demand."""
        ...

    def lock(self, digest: str) -> Mapping[str, Any]:
        """The section of a lock under which a claim was judged, as JSON values that have the digest."""
        ...


class ReadOnce:
    """A source of which each training is read and checked once, for all who look at it.

    It keeps what it has read: for a process that judges runs and then shows them.

    Args:
        source: a store or a bundle.
        digests: what it has, from whoever has asked that already.
        has_curve: whether somebody will ask for the earlier points of one: then it is read with
            them, whoever asks first.
    """

    def __init__(
        self,
        source: EvidenceSource,
        digests: Callable[[], set[str]],
        has_curve: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.digests, self.claims, self.lock = digests, source.claims, source.lock
        self._get, self._has_curve = source.get, has_curve
        self._final: dict[str, Evidence] = {}
        self._whole: dict[str, Evidence] = {}

    def get(self, digest: str, *, trajectory: bool = False) -> Evidence:
        """Evidence of one training; what was read with earlier points serves who asks for less."""
        if digest in self._whole or trajectory or self._has_curve(digest):
            if digest not in self._whole:
                self._whole[digest] = self._get(digest, trajectory=True)
            return self._whole[digest]
        if digest not in self._final:
            self._final[digest] = self._get(digest)
        return self._final[digest]
