"""Judging a study: who belongs to the family, and what is kept when it is judged again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcheck.study.judging import judge_all
from kdcheck.study.record import judge_again, judged
from kdcheck.study.samples import CLASSES, SampleStore, sample_graph, sample_question
from kdcheck.verdict import Word

ONE = sample_question()
OTHER = replace(ONE, claim=replace(ONE.claim, id="another"))


def judge(*questions, **options):
    return judge_all(questions, sample_graph(), SampleStore().get, **options)


def test_a_claim_asked_for_alone_gets_the_verdict_that_it_has_beside_the_stored_ones():
    together = judge(ONE, OTHER)
    assert judge(ONE, beside=[together["another"]]) == together
    assert judge(ONE)[ONE.claim.id].p_supported < together[ONE.claim.id].p_supported


@pytest.mark.parametrize("again", ["beside another claim", "from the store"])
def test_a_criterion_that_was_found_changed_stays_invalid(again):
    verdict = judge(ONE, registered={ONE.claim.id: "as it was before the first run"})[ONE.claim.id]
    assert verdict.word is Word.INVALID
    if again == "from the store":
        found = judge_again([judged(ONE, verdict, sample_graph(), [CLASSES])], SampleStore())
    else:
        found = judge(OTHER, beside=[verdict])
    assert found[ONE.claim.id].word is Word.INVALID
