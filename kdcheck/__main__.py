"""``python -m kdcheck`` is the ``kdcheck`` command."""

import sys

from kdcheck.cli import main

sys.exit(main())
