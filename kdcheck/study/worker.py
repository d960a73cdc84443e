"""One worker process, forked or ``python -m kdcheck.study.worker NAME [DEVICE]``; its job comes on standard input.

It is started before there is a job, so that it imports what training needs while the study is planned.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

from kdcheck.engine.stopped import Stopped
from kdcheck.errors import KdcheckError
from kdcheck.study.garbage import collect_rarely
from kdcheck.study.stopping import DIED, EXIT_CODE, end_with_controller
from kdcheck.study.work import Job, Worker, work


def main(arguments: list[str]) -> int:
    """Work on a job until nothing is left; an error of ours is printed as one line.

    Ends with whoever holds the other end of its standard input.
    """
    import_ahead()
    from kdcheck.evidence.store import Store

    name, *device = arguments
    path = sys.stdin.readline().strip()
    if not path:  # whoever started this process has ended
        return 0
    end_with_controller(sys.stdin)
    worker = Worker(name, device[0] if device else None)
    try:
        job = Job.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        work(job, Store.open(job.places.store), worker)
    except KdcheckError as error:
        print(error, file=sys.stderr)
        return 1
    except Stopped as error:
        print(f"stopped by {error}", file=sys.stderr)
        return EXIT_CODE
    except Exception:  # noqa: BLE001 - whatever it is, the next worker may not meet it
        traceback.print_exc()
        return DIED
    return 0


def import_ahead() -> None:
    """Seconds of imports that otherwise come at the first recipe."""
    import kdcheck.engine.loop  # noqa: F401
    from kdcheck.evidence.database import import_mlflow

    import_mlflow()


if __name__ == "__main__":
    collect_rarely()
    sys.exit(main(sys.argv[1:]))
