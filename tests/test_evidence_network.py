"""A store on a network file system is refused before anything is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdcheck.errors import EvidenceError
from kdcheck.evidence import network
from kdcheck.evidence.network import network_kind
from kdcheck.evidence.store import Store

LINE = "{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} {source} rw"


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """Let the mount table name kinds of file systems by mount point, in the order given."""

    def mount(*kinds: tuple[str, str]) -> None:
        table = tmp_path / "mountinfo"
        lines = [
            LINE.format(
                number=number, point=str(point).replace(" ", r"\040"), kind=kind, source="x"
            )
            for number, (point, kind) in enumerate([("/", "ext4"), *kinds])
        ]
        table.write_text("\n".join(lines) + "\n")
        monkeypatch.setattr(network, "MOUNTS", table)

    return mount


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre"])
def test_a_store_on_a_network_file_system_is_refused_with_the_ways_out(mounted, tmp_path, kind):
    mounted((tmp_path / "home", kind))
    with pytest.raises(EvidenceError) as caught:
        Store.create(tmp_path / "home" / "me" / "store")
    message = str(caught.value)
    assert f"a folder on a network file system ({kind})" in message
    assert "sqlite's write-ahead log and its locks work on one machine alone" in message
    assert "--store" in message
    assert "mlflow server" in message
    assert not (tmp_path / "home").exists()


def test_the_nearest_mount_point_decides_and_of_two_there_the_last(mounted, tmp_path):
    home = tmp_path / "my home"
    mounted(
        (home, "nfs"), (home / "scratch", "xfs"), (home / "both", "nfs"), (home / "both", "ext4")
    )
    kinds = {
        name: network_kind(home / name / "store") for name in ("", "scratch", "both", "scratches")
    }
    assert kinds == {"": "nfs", "scratch": None, "both": None, "scratches": "nfs"}


def test_a_link_to_a_network_file_system_is_followed(mounted, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mounted((tmp_path / "far", "nfs4"))
    assert network_kind(tmp_path / "near" / "store") == "nfs4"


def test_a_local_disk_and_a_system_without_a_mount_table_are_not_refused(
    mounted, monkeypatch, tmp_path
):
    mounted()
    assert network_kind(tmp_path) is None
    monkeypatch.setattr(network, "MOUNTS", tmp_path / "none")
    assert network_kind(tmp_path) is None


def test_of_a_place_under_no_mount_point_nothing_is_known(monkeypatch, tmp_path):
    (tmp_path / "mountinfo").write_text("1 0 0:1 / /elsewhere rw - nfs x rw\n")
    monkeypatch.setattr(network, "MOUNTS", tmp_path / "mountinfo")
    assert network_kind(tmp_path) is None
    assert network_kind(Path("/elsewhere/store")) == "nfs"
