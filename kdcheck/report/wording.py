"""How figures, arms and verdicts are written, on the page and in Markdown alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kdcheck.verdict.words import Word, signed

MINUS = "−"
METHODS: Mapping[str, str] = {
    "erm": "ERM",
    "ls": "LS",
    "standard_kd": "Standard KD",
    "self_kd": "Self-KD",
    "reverse_kd": "Reverse KD",
    "tuned_ls": "LS, tuned α",
    "tuned_standard_kd": "Standard KD, tuned τ",
    "tuned_self_kd": "Self-KD, tuned τ",
    "tuned_reverse_kd": "Reverse KD, tuned τ",
    "virtual_teacher": "Virtual teacher",
    "self_training": "Self-training",
    "erm_stopped_early": "ERM, stopped early",
    "erm_poorly_trained": "ERM, poorly trained",
}
METRICS: Mapping[str, str] = {
    "test/mean_entropy_nats": "entropy, nats",
    "test/accuracy": "accuracy, %",
}
WORDS: tuple[str, ...] = tuple(word.value for word in Word)
SIGNS: Mapping[str, str] = {
    "SUPPORTED": "✓",
    "REFUTED": "✕",
    "EQUIVALENT": "≈",
    "UNDECIDED": "?",
    "INVALID": "!",
    "NOT_RUN": "○",
}
"""A sign before each word, so that colour is never alone."""
MEANINGS: Mapping[str, str] = {
    "SUPPORTED": "The effect is as claimed, beyond the margin that was registered beforehand.",
    "REFUTED": "The effect is the opposite of what is claimed, beyond the margin.",
    "EQUIVALENT": "The effect is too small to matter: inside the margin, on either side of zero.",
    "UNDECIDED": "Nothing is shown yet; the card says about how many more seeds would decide.",
    "INVALID": "The evidence cannot be judged; the card says why and what to do.",
    "NOT_RUN": "No run of this claim is in the evidence.",
}
HOLDS: Mapping[str, str] = {
    "every": "on every task",
    "most": "on most tasks",
    "some": "on some task",
}


def plain_word(word: str) -> str:
    """A verdict's word inside a sentence.

    Source: none.

    >>> plain_word("NOT_RUN")
    'not run'
    """
    return word.lower().replace("_", " ")


def effect(value: float | None, unit: str = "") -> str:
    """An effect with its sign and three significant digits.

    Source: none.

    >>> effect(-0.0512, "nats"), effect(None)
    ('−0.0512 nats', '–')
    """
    if value is None:
        return "–"
    # An exponent says no more to a reader than a zero at the fourth decimal does.
    shown = signed(value) if abs(value) >= 0.001 or not value else f"{value:+.4f}"
    return f"{shown.replace('-', MINUS)} {unit}".strip()


def interval(bounds: Sequence[float] | None) -> str:
    """An interval of effects.

    Source: none.

    >>> interval([-0.1, 0.2])
    '[−0.1, +0.2]'
    """
    return "–" if bounds is None else f"[{effect(bounds[0])}, {effect(bounds[1])}]"


def figure(metric: str, value: float) -> str:
    """A metric as the paper prints it: four decimals of nats, one of a percentage.

    Source: Tables 2 and 3.

    >>> figure("test/mean_entropy_nats", 0.11234), figure("test/accuracy", 0.8149)
    ('0.1123', '81.5')
    """
    return f"{100 * value:.1f}" if metric.endswith("accuracy") else f"{value:.4f}"


def spread(metric: str, mean: float, sd: float | None) -> str:
    """Mean and standard deviation over seeds.

    Source: none.

    >>> spread("test/accuracy", 0.815, 0.004)
    '81.5 ± 0.4'
    """
    shown = figure(metric, mean)
    return shown if sd is None else f"{shown} ± {figure(metric, sd)}"


def seconds(value: float) -> str:
    """A length of time as people say it.

    Source: none.

    >>> seconds(42.2), seconds(754), seconds(7384)
    ('42 s', '12 min 34 s', '2 h 03 min')
    """
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def listed(parts: Sequence[str]) -> str:
    """Parts as a list within a sentence.

    Source: none.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def tally(counts: Mapping[str, int]) -> str:
    """Counts of verdicts in words, the order of the words kept, zeros left out.

    Source: none.

    >>> tally({"REFUTED": 1, "SUPPORTED": 2, "INVALID": 0})
    '2 supported, 1 refuted'
    """
    present = [word for word in WORDS if counts.get(word)]
    return ", ".join(f"{counts[word]} {plain_word(word)}" for word in present) or "none judged"


def criterion(claim: Mapping[str, object]) -> str:
    """What a claim must show, in a sentence.

    Source: decision 0040.

    >>> criterion({"direction": "not_below", "margin": 0.5, "unit": "times", "holds": "most"})
    'effect above −0.5 times on most tasks'
    """
    margin, unit = float(str(claim["margin"])), str(claim["unit"])
    up, down = effect(margin, unit), effect(-margin + 0.0, unit)
    must = {
        "above": f"above {up}",
        "not_below": f"above {down}",
        "within": f"between {down} and {up}",
    }[str(claim["direction"])]
    return f"effect {must} {HOLDS[str(claim['holds'])]}"
