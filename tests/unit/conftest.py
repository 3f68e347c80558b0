"""What unit tests share."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no fault of the code: properties have no limit of time, and fail the same way everywhere.
settings.register_profile("groundwork", deadline=None, derandomize=True, database=None)
settings.load_profile("groundwork")
