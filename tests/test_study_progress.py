"""The display: lines where there is no terminal, counts from what workers write."""

from __future__ import annotations

import io
import json
import os

from kdcheck.study.progress import Display, clock

RUNS = [f"run {i}" for i in range(100)]


def status(folder, name, *, trained=(), digest="run 0", step=1, total=4):
    (folder / "workers").mkdir(exist_ok=True)
    body = {"digest": digest, "step": step, "total": total, "trained": list(trained)}
    (folder / "workers" / f"{name}.json").write_text(json.dumps(body))


def shown(folder, wanted, before) -> str:
    stream = io.StringIO()
    with Display(wanted, before, folder, stream=stream) as display:
        display.update()
    return stream.getvalue()


def test_what_workers_finished_is_added_to_what_was_there_before(tmp_path):
    status(tmp_path, "w0", trained=RUNS[5:8])
    status(tmp_path, "w1", trained=RUNS[8:10])
    assert shown(tmp_path, RUNS[:20], RUNS[:5]).startswith("training  10/20")


def test_a_run_counts_once_and_only_where_it_is_wanted(tmp_path):
    status(tmp_path, "w0", trained=RUNS[3:7])  # two of them were there before
    status(tmp_path, "w1", trained=RUNS[6:8])
    status(tmp_path, "main", trained=RUNS[50:60])  # another command in the same folder
    assert shown(tmp_path, RUNS[:20], [*RUNS[:5], "of another study"]).startswith("training  8/20")


def test_what_workers_trained_of_the_study_is_told_and_not_what_was_there_before(tmp_path):
    status(tmp_path, "w0", trained=RUNS[5:7])
    with Display(RUNS[:20], RUNS[:5], tmp_path, stream=io.StringIO()) as display:
        assert not display.trained
        display.update()
        assert display.trained == set(RUNS[5:7])
        status(tmp_path, "w1", trained=[RUNS[8], "of another study"])
        display.update()
    assert display.trained == {*RUNS[5:7], RUNS[8]}


def test_a_line_is_printed_for_each_tenth_and_not_more_often(tmp_path):
    stream = io.StringIO()
    with Display(RUNS, (), tmp_path, stream=stream) as display:
        for trained in range(101):
            status(tmp_path, "w0", trained=RUNS[:trained])
            display.update()
    assert len(stream.getvalue().splitlines()) == 11


def test_a_terminal_is_shown_what_runs_now_and_how_far_it_is(tmp_path):
    stream = io.StringIO()
    stream.isatty = lambda: True
    status(tmp_path, "w0", trained=RUNS[:2], digest=RUNS[2], step=3)
    status(tmp_path, "w1", digest=RUNS[0], step=4)
    status(tmp_path, "main", digest="of another study", step=1)
    with Display(RUNS[:20], RUNS[:1], tmp_path, stream=stream) as display:
        display.update()
        (task,) = display._bar.tasks
    assert (task.completed, task.total, task.fields["running"]) == (2.75, 20, 1)


def test_a_status_that_is_half_written_is_passed_over(tmp_path):
    status(tmp_path, "w0", trained=RUNS[:1])
    (tmp_path / "workers" / "w1.json").write_text('{"digest"')
    assert "1/10" in shown(tmp_path, RUNS[:10], ())


def test_minutes_and_seconds():
    assert [clock(seconds) for seconds in (0, 59.6, 3600)] == ["0:00", "1:00", "60:00"]


def test_what_workers_say_to_the_user_is_passed_on_once_and_the_rest_stays_in_their_logs(tmp_path):
    (tmp_path / "workers").mkdir()
    log = tmp_path / "workers" / f"w1-{os.getpid()}.log"
    other = tmp_path / "workers" / "w0-1.log"
    other.write_text("kdcheck: of another session\n")
    stream = io.StringIO()
    with Display(RUNS, (), tmp_path, stream=stream) as display:
        log.write_text("a warning\nkdcheck: the tracking server is away\nkdcheck: half a li")
        display.update()
        display.update()
        with log.open("a") as file:
            file.write("ne\n")
        display.update()
    said = [line for line in stream.getvalue().splitlines() if not line.startswith("training")]
    assert said == [
        "kdcheck: worker w1: the tracking server is away",
        "kdcheck: worker w1: half a line",
    ]
