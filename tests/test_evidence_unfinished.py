"""Files of a run are written beside where they go, and what a killed process left of them is removed one day."""

import os
import time

import pytest

from kdcheck.evidence.unfinished import OLD_SECONDS, PREFIX, new_folder, remove_old
from kdcheck.places import Location


def test_a_local_store_has_the_folder_beside_its_files_and_a_server_elsewhere(tmp_path):
    with new_folder(Location.parse(tmp_path)) as folder:
        folder.mkdir()
        assert folder.parents[1] == tmp_path
        assert folder.parent.name.startswith(PREFIX)
    assert list(tmp_path.iterdir()) == []
    with new_folder(Location.parse("http://127.0.0.1:9")) as folder:
        assert tmp_path not in folder.parents
        assert folder.parent.is_dir()


def test_a_folder_that_was_moved_away_leaves_nothing_behind(tmp_path):
    with new_folder(Location.parse(tmp_path)) as folder:
        folder.mkdir()
        folder.rename(tmp_path / "moved")
    assert [each.name for each in tmp_path.iterdir()] == ["moved"]


@pytest.mark.parametrize(("age", "stays"), [(0, True), (-60, True), (60, False)])
def test_only_what_is_a_day_old_and_ours_is_removed(tmp_path, age, stays):
    for name in (f"{PREFIX}x", "kdcheck-of-the-user"):
        (tmp_path / name / "artifacts").mkdir(parents=True)
        at = time.time() - (OLD_SECONDS + age if age else 0)
        os.utime(tmp_path / name, (at, at))
    remove_old(Location.parse(tmp_path))
    assert (tmp_path / f"{PREFIX}x").exists() == stays
    assert (tmp_path / "kdcheck-of-the-user").exists()
