"""python -m arrowport: the same as the `arrowport` command."""

import sys

from ._program import main

sys.exit(main())
