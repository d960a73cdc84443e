"""What a reader of the MLflow UI meets first: a note on each experiment and a saved view.

The table of runs shows no metric and no tag by default. A saved view does; MLflow keeps it in an
experiment tag that is not documented, so nothing else relies on it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence

from kdcheck.evidence.board import EXPLORATORY, HEADS, REHEARSAL, board, counted, headline, row
from kdcheck.evidence.judged import Judged
from kdcheck.evidence.layout import CLAIMS, CURRENT, TRAININGS
from kdcheck.evidence.links import runs_link
from kdcheck.metrics import METRICS

VIEWS = {CLAIMS: "kdcheck-verdicts", TRAININGS: "kdcheck-trainings"}
"""Key of the saved view of each experiment, for links."""
CURVES = "kdcheck-curves"
"""Key of the view of the trainings that averages the curves over seeds."""
IN_FORCE = f"tags.{CURRENT} = 'true' AND tags.paper LIKE '%'"
"""The newest record of each claim; those of the first format have no paper, and are judged anew."""
ALL_FINISHED = "attributes.status = 'FINISHED'"
NOTE = "mlflow.note.content"
LONGEST_NOTE = 5000
"""Characters; older MLflow keeps no more in a tag of an experiment."""
DETAILS = ("says", "id", "themes", "headline")
"""What the board in a note says of each claim, the fullest first; the first that fits is taken."""


def experiment_tags(
    ids: Mapping[str, str], name: str, claims: Sequence[Judged] = ()
) -> dict[str, str]:
    """Tags that give an experiment its note and its saved views; the board of claims on demand."""
    if name == CLAIMS:
        views = {VIEWS[CLAIMS]: _verdicts_view()}
        note = _with_board(_claims_note(ids), claims)
    else:
        views = {VIEWS[TRAININGS]: _trainings_view(), CURVES: _curves_view()}
        note = _trainings_note(ids)
    saved = {f"mlflow.sharedViewState.{key}": view for key, view in views.items()}
    return {NOTE: note, **saved}


def _with_board(note: str, claims: Sequence[Judged]) -> str:
    """The note, and below it the board of each family, as much of it as an experiment's tag holds."""
    texts = ["\n\n".join([note, *_boards(claims, detail)]) for detail in DETAILS]
    return next((text for text in texts if len(text) <= LONGEST_NOTE), note)


def _boards(claims: Sequence[Judged], detail: str) -> Iterator[str]:
    for paper, scale in sorted({each.family for each in claims}):
        rows = [row(each) for each in claims if each.family == (paper, scale)]
        yield f"**{paper} at {scale} scale.** {headline(rows)}"
        for theme in board(rows) if detail != "headline" else ():
            standing = f" ({theme.standing})" if theme.standing in HEADS else ""
            lines = [f"**{theme.name or 'Without a theme'}**{standing}: {counted(theme.rows)}"]
            if detail != "themes":
                lines += [
                    f"{'    ' * each['depth']}- {each['word']}{' (REHEARSAL)' if each['standing'] == REHEARSAL else ''}: {each[detail]}"
                    for each in theme.rows
                ]
            yield "\n".join(lines)


def _claims_note(ids: Mapping[str, str]) -> str:
    # Links first: only the first line shows without a click.
    claims, trainings = ids[CLAIMS], ids[TRAININGS]
    refuted, exploratory = (
        f"tags.{tag} = '{value}' AND {IN_FORCE}"
        for tag, value in (("verdict", "REFUTED"), ("standing", EXPLORATORY))
    )
    return (
        f"[Verdicts]({runs_link(claims, view=VIEWS[CLAIMS])}) | "
        f"[refuted]({runs_link(claims, search=refuted)}) | "
        f"[exploratory]({runs_link(claims, search=exploratory)}) | "
        f"[trainings]({runs_link(trainings, view=VIEWS[TRAININGS])})\n\n"
        "One run per claim and scale: its verdict, effect and interval, and links to the trainings "
        f"it rests on. Older records of a claim stay, with the tag {CURRENT} = false."
    )


def _trainings_note(ids: Mapping[str, str]) -> str:
    claims, trainings = ids[CLAIMS], ids[TRAININGS]
    return (
        f"[Table]({runs_link(trainings, view=VIEWS[TRAININGS])}) | "
        f"[curves, mean over seeds]({runs_link(trainings, chart=True, view=CURVES)}) | "
        f"[verdicts]({runs_link(claims, view=VIEWS[CLAIMS])})\n\n"
        "One run per training: the recipe as parameters, the entropy curves as step metrics, the "
        "posteriors of every example as parquet files. A training serves every claim in its tag "
        "`claims`."
    )


def _verdicts_view() -> str:
    tags = ("theme", "claim", "verdict", "standing", "scale")
    columns = ["attributes.`Created`", *(f"tags.`{tag}`" for tag in tags)]
    columns += [f"metrics.`{m}`" for m in ("effect", "ci_low", "ci_high", "n_seeds")]
    state = _state(IN_FORCE, order="tags.`theme`", columns=columns)
    return _saved_view("Verdicts", state)


def _trainings_view() -> str:
    columns = [f"tags.`{tag}`" for tag in ("role", "task", "objective", "seed")]
    columns += [f"metrics.`test/{name}`" for name, metric in METRICS.items() if metric.at_each_look]
    state = _state(ALL_FINISHED, order="tags.`role`", columns=columns)
    return _saved_view("Trainings", state)


def _curves_view() -> str:
    keys = [{"mode": "tag", "groupByData": tag} for tag in ("task", "role")]
    groups = {"aggregateFunction": "average", "groupByKeys": keys}
    state = _state(ALL_FINISHED, order="tags.`role`", columns=[])
    return _saved_view("Curves, mean over seeds", {**state, "groupBy": groups})


def _state(search: str, *, order: str, columns: Sequence[str]) -> dict[str, object]:
    return {
        "searchFilter": search,
        "orderByKey": order,
        "orderByAsc": True,
        "selectedColumns": list(columns),
    }


def _saved_view(name: str, state: Mapping[str, object]) -> str:
    """Value of the tag in which MLflow keeps a saved view."""
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = {"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    return json.dumps(view)
