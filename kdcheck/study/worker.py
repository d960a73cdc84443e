"""One worker process: ``python -m kdcheck.study.worker JOB.json NAME [DEVICE]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kdcheck.errors import KdcheckError
from kdcheck.study.garbage import collect_rarely
from kdcheck.study.work import Job, Worker, work


def main(arguments: list[str]) -> int:
    """Work on a job until nothing is left; an error of ours is printed as one line.

    Source: none.

    >>> main.__name__
    'main'
    """
    from kdcheck.evidence.store import Store

    path, name, *device = arguments
    job = Job.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    try:
        work(job, Store.open(job.store), Worker(name, device[0] if device else None))
    except KdcheckError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    collect_rarely()
    sys.exit(main(sys.argv[1:]))
