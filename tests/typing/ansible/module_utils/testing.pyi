"""How Ansible lets tests give arguments to a module."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

def patch_module_args(module_args: Mapping[str, Any] | None = ...) -> AbstractContextManager[None]: ...
