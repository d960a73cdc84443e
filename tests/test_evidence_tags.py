"""Tags, parameters and metrics at their edges: what a filter of the UI finds, and what MLflow would cut."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdcheck.claims import reading
from kdcheck.errors import EvidenceError
from kdcheck.evidence import layout
from kdcheck.verdict.verdict import REHEARSED
from tests.evidence_doubles import PLAIN, sample_judged, sample_recipe


def test_the_tag_of_a_claim_has_dots_for_what_mlflow_does_not_allow_there() -> None:
    names = ("Xa[b]X", "[a](b)", "é-1_2.3", "a")
    assert [layout.claim_tag(each) for each in names] == [
        "claim.Xa.b.X",
        "claim.a.b",
        "claim.-1_2.3",
        "claim.a",
    ]


def test_a_role_that_mlflow_would_cut_is_refused_as_a_tag() -> None:
    layout.recipe_tags(sample_recipe(), role="x" * 7000, claims=[])
    with pytest.raises(EvidenceError) as caught:
        layout.recipe_tags(sample_recipe(), role="x" * 8001, claims=[])
    assert caught.value.who == "tag 'role'"
    assert caught.value.got == "8001 characters"


def test_a_tag_of_the_most_characters_is_taken() -> None:
    text = "x" * 8000
    assert layout.judged_tags(sample_judged(), text)["mlflow.note.content"] == text


def test_a_rehearsed_verdict_is_filed_where_no_filter_by_verdict_finds_it() -> None:
    judged = sample_judged()
    rehearsed = replace(judged, verdict=replace(judged.verdict, exploratory=(REHEARSED,)))
    tags = layout.judged_tags(rehearsed, "")
    assert (tags["verdict"], tags["standing"]) == ("REHEARSAL SUPPORTED", "REHEARSAL")
    assert tags["mlflow.runName"] == f"{judged.claim.id} SUPPORTED REHEARSAL"
    assert layout.judged_tags(judged, "")["verdict"] == "SUPPORTED"


def test_marks_of_the_data_are_a_tag_by_task_without_tasks_that_have_none() -> None:
    marks = {"a": {"subset": "x", "cut": "y"}, "b": {}, "c": {"copy": "z"}}
    data = {task: {"marks": each} for task, each in marks.items()}
    assert layout.judged_tags(replace(sample_judged(), data=data), "")["data"] == (
        "a: subset, cut; c: copy"
    )


def test_of_a_contrast_five_thousand_characters_are_a_parameter() -> None:
    contrast = reading("accuracy", PLAIN) - 0.5
    while len(contrast.text) < 6000:
        contrast = contrast + contrast
    shown = layout.judged_parameters(sample_judged(contrast=contrast))["contrast"]
    assert shown == contrast.text[:5000]


def test_two_seeds_have_an_interval() -> None:
    judged = sample_judged(seeds=(0, 1))
    interval = judged.verdict.interval()
    assert layout.judged_metrics(judged) == [
        ("n_seeds", 2.0, 0),
        ("effect", judged.verdict.effect, 0),
        ("ci_low", interval.low, 0),
        ("ci_high", interval.high, 0),
    ]
