"""`python -m mlstack` is `mlstack`."""

from mlstack.cli import main

raise SystemExit(main())
