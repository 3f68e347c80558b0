"""What every module of Groundwork does at its end: exit with a result, or fail with the remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.errors import GroundworkError


def finish(module: AnsibleModule, work: Callable[[], Mapping[str, Any]]) -> None:
    """Exit the module with what `work` returns; a GroundworkError becomes fail_json with `msg` and `remedy`.

    A failure never claims a change: what was half done is seen by the next run's observation.
    """
    try:
        result = work()
    except GroundworkError as error:
        module.fail_json(msg=str(error), remedy=error.remedy, changed=False)
    else:
        module.exit_json(**{"changed": False, **result})
