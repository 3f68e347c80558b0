"""`python -m lab`, which script/lab runs."""

import sys

from lab.cli import main

sys.exit(main())
