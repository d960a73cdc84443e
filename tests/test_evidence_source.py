"""One reading of each training for all who look at it."""

from kdcheck.evidence.source import ReadOnce
from tests.evidence_doubles import MemorySource, sample_judged


class Counting(MemorySource):
    """Notes what it is asked for."""

    def get(self, digest, *, trajectory=False):
        self.asked = [*getattr(self, "asked", []), (digest, trajectory)]
        return super().get(digest, trajectory=trajectory)


def test_a_training_is_read_once_and_with_its_earlier_points_only_where_they_are_asked_for():
    source = Counting([sample_judged()])
    first, second = sorted(source.digests())[:2]
    once = ReadOnce(source, source.digests)
    assert once.get(first).recipe == source.recipes[first]
    assert once.get(first) is once.get(first)
    whole = once.get(first, trajectory=True)
    assert once.get(first) is whole
    assert once.get(second, trajectory=True).recipe == source.recipes[second]
    assert once.get(second) is once.get(second, trajectory=True)
    assert source.asked == [(first, False), (first, True), (second, True)]


def test_a_training_whose_earlier_points_somebody_will_ask_for_is_read_with_them_at_once():
    source = Counting([sample_judged()])
    first, second = sorted(source.digests())[:2]
    once = ReadOnce(source, source.digests, lambda digest: digest == second)
    assert once.get(second) is once.get(second, trajectory=True)
    assert once.get(first).recipe == source.recipes[first]
    assert source.asked == [(second, True), (first, False)]
