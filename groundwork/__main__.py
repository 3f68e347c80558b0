"""`python -m groundwork`, which script/groundwork runs."""

import sys

from groundwork.cli import main

sys.exit(main())
