"""The description of a claim's run in the MLflow UI: its first three lines show at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kdcheck.evidence.judged import Judged

LONGEST_NOTE = 7900
"""Characters; MLflow cuts tags at 8,000 without a word."""


class Links(Protocol):
    """Addresses of what a claim rests on, as a store gives them."""

    def run_url(self, digest: str) -> str:
        """Of a training."""
        ...

    def claims_url(self, claim_id: str | None = None) -> str:
        """Of every record of a claim."""
        ...

    def trainings_url(self, claim_id: str | None = None, *, chart: bool = False) -> str:
        """Of all trainings of a claim."""
        ...


def note(judged: Judged, links: Links) -> str:
    """Sentence, verdict and standing, table by task, contrast, deviations and links, as Markdown."""
    claim, verdict = judged.claim, judged.verdict
    paper = f" In the paper: {claim.paper_text}." if claim.paper_text else ""
    rows = [
        f"| {task.name} | {task.effect:+.4f} | {task.interval.low:+.4f} | "
        f"{task.interval.high:+.4f} |"
        for task in verdict.tasks
    ]
    runs = [
        f"- {arm.key}, {task}: "
        + ", ".join(f"[seed {seed}]({links.run_url(d)})" for seed, d in sorted(seeds.items()))
        for arm, tasks in sorted(judged.table.runs.items(), key=lambda item: item[0].key)
        for task, seeds in tasks.items()
    ]
    premises = [f"[{each}]({links.claims_url(each)})" for each in claim.rests_on]
    parts = [
        f"## {claim.says}",
        f"**{_word(judged)} at {judged.scale} scale.** {verdict.reason}",
        *(
            [f"{verdict.standing}:\n" + _bullets(verdict.exploratory)]
            if verdict.exploratory
            else []
        ),
        f"{claim.where}.{paper}",
        *([f"Rests on {', '.join(premises)}."] if premises else []),
        "\n".join(
            [
                f"| task | effect ({claim.margin.unit or 'no unit'}) | low | high |",
                "| --- | ---: | ---: | ---: |",
                *rows,
            ]
        ),
        f"Contrast: `{claim.measures.text}`, margin {claim.margin.size:g}: {claim.because}.",
        *(["Rows:\n" + _bullets(judged.data_said)] if judged.data_said else []),
        "Deviations from the paper:\n" + _bullets(judged.deviations),
        f"[Curves of these runs]({links.trainings_url(claim.id, chart=True)})",
        "\n".join(runs),
    ]
    text = "\n\n".join(parts)
    if len(text) < LONGEST_NOTE:
        return text
    all_of_them = f"[All {len(judged.table.digests())} runs]({links.trainings_url(claim.id)})"
    return "\n\n".join([*parts[:-1], all_of_them])


def _word(judged: Judged) -> str:
    word, standing = judged.verdict.word, judged.verdict.standing
    return f"{word}, {standing}," if judged.verdict.exploratory else str(word)


def _bullets(texts: Iterable[str]) -> str:
    return "\n".join(f"- {each}" for each in texts)
