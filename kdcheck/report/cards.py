"""One card per claim: the sentence, the verdict, the picture, and all it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from kdcheck.claims import WORDINGS
from kdcheck.evidence.board import mark
from kdcheck.plural import plural
from kdcheck.report import wording
from kdcheck.report.forest import forest
from kdcheck.report.markup import Markup, grid, join, tag

Record = Mapping[str, Any]


def badge(word: str) -> Markup:
    """A verdict's word with its sign."""
    sign = tag("span", wording.SIGNS[word], aria_hidden="true")
    return tag("span", sign, f" {word.replace('_', ' ')}", class_=f"word {word.lower()}")


def marks(claim: Record) -> list[Markup]:
    """A verdict's word, and beside it EXPLORATORY or REHEARSAL where it is."""
    if not mark(claim):
        return [badge(claim["word"])]
    reasons = " ".join(claim["exploratory"])
    return [
        badge(claim["word"]),
        tag("span", mark(claim), class_="word standing-chip", title=reasons),
    ]


def premises(record: Record, claim: Record) -> list[tuple[str, str, str]]:
    """Id, word and sentence of each claim that this one rests on."""
    known = {each["id"]: each for each in record["claims"]}
    return [
        (each, known[each]["word"], known[each]["says"])
        if each in known
        else (each, "NOT_RUN", each)
        for each in claim["rests_on"]
    ]


def link_to(claim_id: str) -> str:
    """Address of a claim's card within the page."""
    return f"#{quote(claim_id)}"


def breakable(claim_id: str) -> Markup:
    """A claim's id that narrow boxes may break after its underscores."""
    first, *rest = claim_id.split("_")
    return join([first, [("_", tag("wbr"), part) for part in rest]])


def searchable(claim: Record) -> dict[str, str]:
    """Attributes by which the filters find a claim."""
    parts = ("id", "says", "where", "theme", "standing")
    text = " ".join(claim[part] for part in parts).lower()
    return {"data_word": claim["word"], "data_text": text}


def card(record: Record, claim: Record, common: Iterable[str]) -> Markup:
    """All that the record says of a claim, but for the deviations that all claims share."""
    return tag(
        "article",
        _head(claim),
        tag("div", _findings(record, claim), _picture(claim), class_="body"),
        _family(record, claim),
        _paper(record, claim),
        _own_deviations(claim, common),
        _criterion(claim),
        _runs(claim),
        class_=f"card {claim['word'].lower()}",
        id=claim["id"],
        **searchable(claim),
    )


def _head(claim: Record) -> Markup:
    anchor = tag("a", breakable(claim["id"]), href=link_to(claim["id"]), class_="id")
    place = f"{claim['where']} · must hold {WORDINGS[claim['holds']]}"
    return tag(
        "header",
        tag("h3", claim["says"]),
        tag("p", marks(claim), anchor, class_="top"),
        tag("p", place, class_="quiet"),
        _exploratory(claim),
    )


def _exploratory(claim: Record) -> Markup | None:
    if not claim["exploratory"]:
        return None
    items = [tag("li", text) for text in claim["exploratory"]]
    return tag(
        "div",
        tag("p", f"{mark(claim).capitalize()}, since"),
        tag("ul", items),
        class_="exploratory-since",
    )


def _findings(record: Record, claim: Record) -> Markup:
    parts: list[object] = []
    if claim["effect"] is not None:
        number = tag("span", wording.effect(claim["effect"], claim["unit"]), class_="number")
        bounds = f" 95 % interval {wording.interval(claim['interval'])}"
        parts.append(tag("p", number, bounds if claim["interval"] else None, class_="effect"))
    parts.append(tag("p", claim["reason"]))
    if claim["advice"]:
        parts.append(tag("p", claim["advice"], class_="quiet advice"))
    if claim["at_two_classes"]:
        parts.append(tag("p", claim["at_two_classes"], class_="quiet"))
    shown = (
        f"As claimed on {claim['tasks_as_claimed']} of {len(claim['tasks'])} tasks, "
        f"{claim['seeds']} seeds, {wording.seconds(claim['seconds'])} of training."
    )
    parts.append(tag("p", shown, class_="quiet") if claim["seeds"] else None)
    parts += [tag("p", text, class_="quiet") for text in claim["data"]]
    return tag("div", parts, _per_task(record, claim), class_="findings")


def _picture(claim: Record) -> Markup | None:
    drawing = forest(claim)
    return tag("figure", drawing, class_="picture") if drawing else None


def _per_task(record: Record, claim: Record) -> Markup | None:
    if not claim["tasks"]:
        return None
    seeds = sorted({seed["seed"] for task in claim["tasks"] for seed in task["per_seed"]})
    rows = [
        [
            wording.marked(record, task["name"]),
            wording.effect(task["effect"]),
            wording.interval(task["interval"]),
            *_by_seed(task, seeds),
        ]
        for task in claim["tasks"]
    ]
    head = ["task", "mean", "95 % interval", *(f"seed {seed}" for seed in seeds)]
    unit = f", {claim['unit']}" if claim["unit"] else ""
    return grid(f"Effect by task and seed{unit}", head, rows)


def _by_seed(task: Record, seeds: Iterable[int]) -> list[str]:
    known = {seed["seed"]: seed["effect"] for seed in task["per_seed"]}
    return [wording.effect(known.get(seed)) for seed in seeds]


def _family(record: Record, claim: Record) -> Markup | None:
    """What it rests on, and what rests on it."""
    above = premises(record, claim)
    below = [
        (each["id"], each["word"], each["says"])
        for each in record["claims"]
        if claim["id"] in each["rests_on"]
    ]
    known = {each["id"]: each for each in record["claims"]}
    pairs = [
        (tag("dt", title), tag("dd", [_relative(each, known.get(each[0])) for each in found]))
        for title, found in (("Rests on", above), ("Premise of", below))
        if found
    ]
    return tag("dl", pairs, class_="family") if pairs else None


def _relative(found: tuple[str, str, str], claim: Record | None) -> Markup:
    """Word and sentence of a claim, the sentence as a link where the page has a card of it."""
    claim_id, word, says = found
    if claim is None:
        return tag("div", badge(word), " ", says)
    return tag("div", marks(claim), " ", tag("a", says, href=link_to(claim_id)))


def _paper(record: Record, claim: Record) -> Markup | None:
    if not claim["paper"]:
        return None
    ours = "; ".join(
        f"{wording.marked(record, task['name'])} {wording.effect(task['effect'])}"
        for task in claim["tasks"]
        if task["effect"] is not None
    )
    theirs = [tag("dt", "In the paper"), tag("dd", wording.in_paper(claim))]
    unit = f" {claim['unit']}"
    return tag("dl", theirs, [tag("dt", "Here"), tag("dd", ours + unit)] if ours else None)


def _own_deviations(claim: Record, common: Iterable[str]) -> Markup | None:
    shared = set(common)
    own = [text for text in claim["deviations"] if text not in shared]
    return tag("ul", [tag("li", text) for text in own], class_="quiet own") if own else None


def _criterion(claim: Record) -> Markup:
    criterion = claim["criterion"]
    rates, adjusted = criterion["rates"], criterion["adjusted_p"]
    rows = {
        "must show": wording.criterion(claim),
        "because": claim["because"],
        "contrast": tag("code", criterion["contrast"]),
        "planned looks": f"at {wording.listed([str(n) for n in criterion['looks']])} seeds; "
        f"{criterion['seeds_used']} used, attempt {claim['attempt']}",
        "p, all prices paid": "; ".join(
            f"{word} {adjusted[word]:.2g} (at most {rates[word]:g})" for word in rates
        ),
        "family": f"{criterion['family_size']} claims, judged together",
        "standing": _standing(claim),
        "digest": tag("code", criterion["digest"]),
    }
    pairs = [(tag("dt", name), tag("dd", value)) for name, value in rows.items()]
    return tag("details", tag("summary", "Criterion"), tag("dl", pairs))


def _standing(claim: Record) -> str:
    lock = f" under lock {claim['lock'][:8]}" if claim["lock"] else ""
    return f"{claim['standing']}{'' if claim['exploratory'] else lock}"


def _runs(claim: Record) -> Markup:
    count = len({d for arm in claim["runs"] for task in arm["digests"].values()
                 for d in task.values()})  # fmt: skip
    rows = [
        (
            tag("dt", f"{arm['label']}, {task}"),
            tag("dd", [_run(seed, digest) for seed, digest in seeds.items()]),
        )
        for arm in claim["runs"]
        for task, seeds in arm["digests"].items()
    ]
    return tag("details", tag("summary", plural(count, "run")), tag("dl", rows, class_="runs"))


def _run(seed: str, digest: str) -> Markup:
    return tag("code", digest[:10], title=f"seed {seed}: {digest}")
