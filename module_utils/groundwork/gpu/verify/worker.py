"""The work of module nvidia_gpu_verify: declare, observe, judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.gpu import observe as gpus
from ansible.module_utils.groundwork.gpu.verify.judge import declaration, judge
from ansible.module_utils.groundwork.gpu.verify.observe import State, observe
from ansible.module_utils.groundwork.gpu.verify.wanted import declare


def verify(given: Mapping[str, Any], run: Run, library: Any = None) -> list[Check]:
    """The verdicts on this host, or with `declaration_only` the one on what is declared for it.

    given    the options of module nvidia_gpu_verify
    library  stands in for pynvml in tests

    Raises GroundworkError where the declaration cannot be meant.
    """
    wanted, seconds = declare(given), given["timeout_seconds"]
    if given["declaration_only"]:
        return [declaration(wanted, State(gpus.observe(seconds, library)))]
    return judge(wanted, observe(wanted, seconds, run, library))
