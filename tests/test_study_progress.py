"""The display: lines where there is no terminal, counts from what workers write."""

from __future__ import annotations

import io
import json

from kdcheck.study.progress import Display, clock


def status(folder, name, *, trained, step=1, total=4):
    (folder / "workers").mkdir(exist_ok=True)
    body = {"digest": "d", "step": step, "total": total, "trained": trained}
    (folder / "workers" / f"{name}.json").write_text(json.dumps(body))


def test_what_workers_finished_is_added_to_what_was_there_before(tmp_path):
    stream = io.StringIO()
    with Display(20, 5, tmp_path, stream=stream) as display:
        status(tmp_path, "w0", trained=3)
        status(tmp_path, "w1", trained=2)
        display.update()
    assert stream.getvalue().startswith("training  10/20")


def test_a_line_is_printed_for_each_tenth_and_not_more_often(tmp_path):
    stream = io.StringIO()
    with Display(100, 0, tmp_path, stream=stream) as display:
        for trained in range(101):
            status(tmp_path, "w0", trained=trained)
            display.update()
    assert len(stream.getvalue().splitlines()) == 11


def test_a_status_that_is_half_written_is_passed_over(tmp_path):
    status(tmp_path, "w0", trained=1)
    (tmp_path / "workers" / "w1.json").write_text('{"digest"')
    stream = io.StringIO()
    with Display(10, 0, tmp_path, stream=stream) as display:
        display.update()
    assert "1/10" in stream.getvalue()


def test_minutes_and_seconds():
    assert [clock(seconds) for seconds in (0, 59.6, 3600)] == ["0:00", "1:00", "60:00"]
