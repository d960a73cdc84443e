"""The notes and saved views of both experiments, in whole."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from kdcheck.evidence.layout import CLAIMS, TRAININGS
from kdcheck.evidence.views import experiment_tags
from kdcheck.metrics import METRICS
from kdcheck.verdict.verdict import REHEARSED
from tests.evidence_doubles import sample_judged

IDS = {TRAININGS: "1", CLAIMS: "2"}
NOTE = "mlflow.note.content"
IN_FORCE = "tags.current = 'true' AND tags.paper LIKE '%'"


def view(experiment: str, key: str) -> dict[str, Any]:
    """A saved view as MLflow's page reads it, its state unpacked."""
    saved = json.loads(experiment_tags(IDS, experiment)[f"mlflow.sharedViewState.{key}"])
    kind, packed = saved.pop("state").split(";")
    assert kind == "deflate"
    return saved | {"state": json.loads(zlib.decompress(base64.b64decode(packed)))}


def test_each_experiment_has_a_note_and_its_views() -> None:
    assert sorted(experiment_tags(IDS, CLAIMS)) == [NOTE, "mlflow.sharedViewState.kdcheck-verdicts"]
    assert sorted(experiment_tags(IDS, TRAININGS)) == [
        NOTE, "mlflow.sharedViewState.kdcheck-curves", "mlflow.sharedViewState.kdcheck-trainings",
    ]  # fmt: skip


def test_the_view_of_verdicts_shows_those_in_force_by_theme() -> None:
    tags = [f"tags.`{each}`" for each in ("theme", "claim", "verdict", "standing", "scale")]
    metrics = [f"metrics.`{each}`" for each in ("effect", "ci_low", "ci_high", "n_seeds")]
    assert view(CLAIMS, "kdcheck-verdicts") == {
        "name": "Verdicts",
        "createdAt": 0,
        "updatedAt": 0,
        "state": {
            "searchFilter": IN_FORCE,
            "orderByKey": "tags.`theme`",
            "orderByAsc": True,
            "selectedColumns": ["attributes.`Created`", *tags, *metrics],
        },
    }


def test_the_views_of_trainings_show_finished_ones_by_role_and_curves_by_task_and_role() -> None:
    shown = [name for name, metric in METRICS.items() if metric.at_each_look]
    finished = {
        "searchFilter": "attributes.status = 'FINISHED'",
        "orderByKey": "tags.`role`",
        "orderByAsc": True,
    }
    columns = [f"tags.`{each}`" for each in ("role", "task", "objective", "seed")]
    columns += [f"metrics.`test/{name}`" for name in shown]
    named = {"createdAt": 0, "updatedAt": 0}
    assert view(TRAININGS, "kdcheck-trainings") == {
        "name": "Trainings",
        **named,
        "state": finished | {"selectedColumns": columns},
    }
    groups = {
        "aggregateFunction": "average",
        "groupByKeys": [
            {"mode": "tag", "groupByData": "task"},
            {"mode": "tag", "groupByData": "role"},
        ],
    }
    assert view(TRAININGS, "kdcheck-curves") == {
        "name": "Curves, mean over seeds",
        **named,
        "state": finished | {"selectedColumns": [], "groupBy": groups},
    }


OF_TRAININGS = "#/experiments/1/runs?workflowType=machine_learning"
OF_CLAIMS = "#/experiments/2/runs?workflowType=machine_learning"


def test_the_note_of_the_claims_begins_with_links_to_verdicts_by_word_and_standing() -> None:
    first, blank, second = experiment_tags(IDS, CLAIMS)[NOTE].split("\n")
    assert [unquote(link) for link in first.split(" | ")] == [
        f"[Verdicts]({OF_CLAIMS}&viewStateShareKey=kdcheck-verdicts)",
        f"[refuted]({OF_CLAIMS}&searchFilter=tags.verdict = 'REFUTED' AND {IN_FORCE})",
        f"[exploratory]({OF_CLAIMS}&searchFilter=tags.standing = 'EXPLORATORY' AND {IN_FORCE})",
        f"[trainings]({OF_TRAININGS}&viewStateShareKey=kdcheck-trainings)",
    ]
    assert (blank, second) == (
        "",
        (
            "One run per claim and scale: its verdict, effect and interval, and links to the trainings "
            "it rests on. Older records of a claim stay, with the tag current = false."
        ),
    )


def test_the_note_of_the_trainings_begins_with_links_to_table_curves_and_verdicts() -> None:
    judged = [sample_judged()]
    first, blank, second = experiment_tags(IDS, TRAININGS, judged)[NOTE].split("\n")
    assert first.split(" | ") == [
        f"[Table]({OF_TRAININGS}&viewStateShareKey=kdcheck-trainings)",
        f"[curves, mean over seeds]({OF_TRAININGS}&compareRunsMode=CHART&viewStateShareKey=kdcheck-curves)",
        f"[verdicts]({OF_CLAIMS}&viewStateShareKey=kdcheck-verdicts)",
    ]
    assert (blank, second) == (
        "",
        (
            "One run per training: the recipe as parameters, the entropy curves as step metrics, the "
            "posteriors of every example as parquet files. A training serves every claim in its tag "
            "`claims`."
        ),
    )


def board_of(*claims) -> list[str]:
    text = experiment_tags(IDS, CLAIMS, claims)[NOTE]
    return text.removeprefix(experiment_tags(IDS, CLAIMS)[NOTE]).split("\n\n")[1:]


def test_rehearsals_are_marked_in_each_line_and_a_theme_without_a_name_has_one() -> None:
    judged = sample_judged("a")
    tried = replace(judged, verdict=replace(judged.verdict, exploratory=(REHEARSED,)))
    assert board_of(tried) == [
        (
            "**one at small scale.** 1 of 1 claim decided: 1 SUPPORTED; REHEARSAL, no evidence of any "
            "claim."
        ),
        (
            "**Without a theme** (REHEARSAL): 1 of 1 claim decided: 1 SUPPORTED\n"
            "- SUPPORTED (REHEARSAL): Smoothing raises entropy."
        ),
    ]


def test_families_are_listed_by_paper_and_scale() -> None:
    claims = [sample_judged(scale=scale) for scale in ("small", "mini")]
    heads = [block for block in board_of(*claims) if " at " in block]
    assert [head.split(".")[0] for head in heads] == ["**one at mini scale", "**one at small scale"]


def test_a_note_of_all_the_characters_that_a_tag_holds_is_whole() -> None:
    def length(says: str) -> int:
        return len(experiment_tags(IDS, CLAIMS, [sample_judged(says=says)])[NOTE])

    spare = 5000 - length("x")
    assert length("x" * (1 + spare)) == 5000
    assert length("x" * (2 + spare)) < 3000, "the id in its place"


def test_where_not_even_the_headlines_fit_the_note_stands_alone() -> None:
    claims = [sample_judged(scale=f"scale-{number}") for number in range(60)]
    assert board_of(*claims) == []
