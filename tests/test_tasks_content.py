"""Order, cuts and repeats: decisions that rest on the text of a row."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdcheck.tasks import Split
from kdcheck.tasks.content import (
    balance,
    content_order,
    cut,
    drop_repeats,
    overlap,
    part_of,
    same_text,
)


def split(texts, labels=None, prefix="r"):
    return Split(
        ids=tuple(f"{prefix}{row}" for row in range(len(texts))),
        texts=tuple(t if isinstance(t, tuple) else (t,) for t in texts),
        labels=tuple(labels or [0] * len(texts)),
    )


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("A fine film .", "a fine film"),
        ("RT @someone: Deal! http://t.co/a", "deal"),
        ("Read this via @paper", "READ THIS"),
        ("don't", "don t"),
    ],
)
def test_texts_that_a_reader_calls_the_same_have_one_key(one, two):
    assert same_text(one) == same_text(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [("not good", "good"), ("3.5", "35"), ("ok :)", "ok no"), (":)", ":("), ("no rt", "no")],
)
def test_texts_that_differ_have_two_keys(one, two):
    assert same_text(one) != same_text(two)


def test_a_text_that_is_only_a_link_still_has_a_key():
    assert same_text("http://t.co/a") != same_text("http://t.co/b")


def test_the_order_is_that_of_the_sha256_of_seed_and_text():
    texts = [f"text {n}" for n in range(6)]
    by_hand = sorted(range(6), key=lambda n: hashlib.sha256(b"7\0text %d" % n).hexdigest())
    assert list(content_order(split(texts), seed=7)) == by_hand


def test_rows_with_equal_text_stand_together_in_the_order():
    texts = [f"text {n % 7}" for n in range(21)]
    order = [texts[row] for row in content_order(split(texts), seed=1)]
    assert all(len(set(order[start : start + 3])) == 1 for start in range(0, 21, 3))


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1), min_size=2, max_size=30), st.integers(0, 5), st.data())
def test_a_cut_parts_the_rows_and_keeps_their_order(texts, seed, data):
    whole = split(texts)
    size = data.draw(st.integers(1, len(texts) - 1))
    rest, taken = cut(whole, size, seed)
    assert (len(rest), len(taken)) == (len(texts) - size, size)
    assert Counter(rest.ids + taken.ids) == Counter(whole.ids)
    for part in (rest, taken):
        assert list(part.ids) == sorted(part.ids, key=whole.ids.index)


def test_a_cut_parts_at_most_one_group_of_equal_texts():
    texts = [f"text {n // 4}" for n in range(40)]
    for size in range(1, 40):
        rest, taken = cut(split(texts), size, seed=0)
        assert len(set(rest.texts) & set(taken.texts)) <= 1


def test_a_cut_is_close_to_a_fair_sample():
    # Null: the cut ignores the label. 1,000 of 4,000 rows at 50 %: standard error 1.4 points
    # (hypergeometric); 5 of them is the bound, one seed in a million beyond it.
    labels = [row // 2 % 2 for row in range(4000)]
    _, taken = cut(split([f"row {n}" for n in range(4000)], labels), 1000, seed=0)
    share = sum(taken.labels) / 1000
    print(f"share of label 1 in the cut: {share:.3f}")
    assert abs(share - 0.5) < 5 * 0.014


def test_a_group_goes_where_the_sha256_of_seed_and_name_points():
    shares = {"a": 0.2, "b": 0.3}
    for name in map(str, range(50)):
        place = int(hashlib.sha256(b"3\0" + name.encode()).hexdigest(), 16) / 2**256
        by_hand = "a" if place < 0.2 else "b" if place < 0.5 else "c"
        assert part_of(name, shares, 3, rest="c") == by_hand


def test_each_part_gets_about_its_share_of_the_groups():
    found = Counter(part_of(f"g{n}", {"a": 0.2, "b": 0.3}, 0, rest="c") for n in range(2000))
    # Four standard deviations of a binomial count.
    for part, share in {"a": 0.2, "b": 0.3, "c": 0.5}.items():
        assert abs(found[part] - 2000 * share) < 4 * (2000 * share * (1 - share)) ** 0.5


def test_a_balanced_split_keeps_the_rarest_class_and_the_first_of_the_others_by_content():
    labels = [0, 1, 1, 2, 1, 0, 1, 2, 2]
    texts = [f"text {n}" for n in range(9)]
    whole = split(texts, labels)
    found = balance(whole, seed=5)
    expected = {0, 5}
    for label in (1, 2):
        rows = [n for n in range(9) if labels[n] == label]
        rows.sort(key=lambda n: hashlib.sha256(b"5\0text %d" % n).hexdigest())
        expected |= set(rows[:2])
    assert found == whole.take(sorted(expected))
    assert balance(whole, seed=6) != found


def test_of_repeats_the_first_part_keeps_its_row():
    parts, repeats = drop_repeats(
        {"test": split(["same", "b"]), "train": split(["Same!", "c", "c"])}
    )
    assert parts["test"].texts == (("same",), ("b",))
    assert parts["train"].texts == (("c",),)
    assert (repeats.repeated, repeats.contradictory) == (2, 0)


def test_texts_whose_copies_disagree_are_dropped_everywhere():
    parts, repeats = drop_repeats(
        {"test": split(["odd", "b"], [0, 1]), "train": split(["odd", "odd", "c"], [1, 0, 1])}
    )
    assert [part.texts for part in parts.values()] == [(("b",),), (("c",),)]
    assert (repeats.repeated, repeats.contradictory) == (0, 3)


def test_a_pair_in_the_other_order_is_a_repeat():
    _, repeats = drop_repeats({"train": split([("one", "two"), ("Two", "one")])})
    assert repeats.repeated == 1


def test_overlap_counts_rows_of_the_first_split():
    assert overlap(split(["a", "A.", "b"]), split(["a", "c"])) == 2
