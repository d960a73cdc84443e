"""Whether a folder lies on a network file system, where sqlite and locks of files cannot be relied on."""

from __future__ import annotations

import re
from pathlib import Path

from kdcheck.errors import EvidenceError
from kdcheck.places import Location

MOUNTS = Path("/proc/self/mountinfo")
SHARED = frozenset(
    (
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "ncpfs",
            "afs",
            "ceph",
            "lustre",
            "gpfs",
            "beegfs",
        ),
        *("ocfs2", "gfs2", "glusterfs", "davfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
        *("fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.davfs2", "fuse.juicefs"),
    )
)
"""File systems that another machine may write to beside this one, as the kernel calls them."""


def refuse_network(location: Location) -> None:
    """Refuse to write a database where another machine could write too, which breaks it in silence.

    Raises:
        EvidenceError: the folder of a local store lies on a network file system.
    """
    if (kind := network_kind(location.folder)) is not None:
        raise EvidenceError(
            f"store {location}",
            f"a folder on a network file system ({kind})",
            "a disk of this machine: sqlite's write-ahead log and its locks work on one machine alone",
            "Name a local folder with --store; to share one store between machines, start "
            "'mlflow server' on one of them and give its http address.",
        )


def network_kind(folder: Path) -> str | None:
    """Kind of the network file system that a folder lies on; none if it is local, or nobody knows.

    The folder need not exist yet: it will be where the nearest one above it is.
    """
    try:
        lines = MOUNTS.read_bytes().decode().splitlines()
    except OSError:
        return None
    place = folder.resolve()
    # The last line of a mount point is the one in force: it lies over those before.
    kinds = {Path(_unescaped(line.split()[4])): line.split(" - ")[1].split()[0] for line in lines}
    kind = next((kinds[each] for each in (place, *place.parents) if each in kinds), None)
    return kind if kind in SHARED else None


def _unescaped(text: str) -> str:
    """A path of the mount table, in which spaces and the like are octal."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)
