"""One worker process: ``python -m kdcheck.study.worker NAME [DEVICE]``; its job comes on standard input.

It is started before there is a job, so that it imports what training needs while the study is planned.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from kdcheck.errors import KdcheckError
from kdcheck.study.garbage import collect_rarely
from kdcheck.study.work import Job, Worker, work


def main(arguments: list[str]) -> int:
    """Work on a job until nothing is left; an error of ours is printed as one line."""
    _import_ahead()
    from kdcheck.evidence.store import Store

    name, *device = arguments
    path = sys.stdin.readline().strip()
    if not path:  # whoever started this process has ended
        return 0
    worker = Worker(name, device[0] if device else None)
    try:
        job = Job.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        work(job, Store.open(job.places.store), worker)
    except KdcheckError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _import_ahead() -> None:
    """Seconds of imports that otherwise come at the first recipe."""
    import kdcheck.engine.loop  # noqa: F401
    from kdcheck.evidence.database import import_mlflow

    import_mlflow()


if __name__ == "__main__":
    collect_rarely()
    sys.exit(main(sys.argv[1:]))
