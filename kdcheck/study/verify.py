"""Judging stored claims again: metrics from posteriors, verdicts from metrics, nothing trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from kdcheck.errors import EvidenceError
from kdcheck.evidence.record import Evidence
from kdcheck.evidence.source import EvidenceSource
from kdcheck.study.judging import mean_entropy
from kdcheck.study.record import judge_again, stored_claims
from kdcheck.verdict import Verdict

TOLERANCE = 1e-6
"""Between a stored metric and the same from stored float32 logits: sums in another order."""


@dataclass(frozen=True)
class Check:
    """A claim's stored verdict beside the one recomputed from its evidence.

    Source: none.

    >>> sorted(Check.__dataclass_fields__)
    ['again', 'scale', 'stored']
    """

    scale: str
    stored: Verdict
    again: Verdict

    @property
    def same(self) -> bool:
        """Whether word, criterion and effect agree."""
        stored, again = self.stored.effect, self.again.effect
        if stored is None or again is None:
            return self.stored.word is self.again.word and stored is again
        return self.stored.word is self.again.word and abs(stored - again) <= TOLERANCE


class Recomputed:
    """A source whose metrics are held against the posteriors that come with them.

    Source: none.

    >>> Recomputed.__name__
    'Recomputed'
    """

    def __init__(self, source: EvidenceSource) -> None:
        self._source = source

    def get(self, digest: str) -> Evidence:
        """Evidence whose entropies and accuracies are those of its posteriors.

        Raises:
            EvidenceError: a stored metric is not what the posteriors give.
        """
        evidence = self._source.get(digest)
        for split, part in evidence.final.predictions.items():
            logits_NK = part.logits_NK.astype(np.float64)
            right_N = logits_NK.argmax(axis=1) == part.labels_N
            recomputed = {
                "mean_entropy_nats": mean_entropy(logits_NK),
                "accuracy": float(right_N.mean()),
            }
            for name, value in recomputed.items():
                stored = evidence.final.values.get(f"{split}/{name}", value)
                if not np.isclose(stored, value, rtol=0, atol=TOLERANCE):
                    raise EvidenceError(
                        f"run {digest[:8]}, {split}/{name}",
                        f"{stored:.6f} stored and {value:.6f} from the posteriors",
                        "the same",
                        "The evidence was altered after training; train that run again.",
                    )
        return evidence


def verify(source: EvidenceSource) -> Iterator[Check]:
    """Recompute every verdict of a store or bundle, scale by scale.

    Args:
        source: a store or a bundle.

    Returns:
        One check per claim.

    Raises:
        EvidenceError: no claim is stored, or evidence is missing, damaged or altered.

    Source: none.

    >>> from kdcheck.study.record import store_claim
    >>> from kdcheck.study.samples import SampleStore, sample_judged
    >>> store = SampleStore()
    >>> store_claim(sample_judged(), store)
    >>> [check.same for check in verify(store)]
    [True]
    """
    claims = stored_claims(source)
    if not claims:
        raise EvidenceError(
            "verify", "no judged claim", "at least one", "Run pytest claims/ on that store first."
        )
    for scale, group in groupby(claims, key=lambda each: each.scale):
        asked = list(group)
        again = judge_again(asked, Recomputed(source))
        for each in asked:
            yield Check(scale, each.verdict, again[each.claim.id])
