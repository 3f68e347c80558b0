"""https://docs.ansible.com/ansible/latest/reference_appendices/module_utils.html"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn, overload

class AnsibleModule:
    params: dict[str, Any]
    check_mode: bool
    no_log_values: set[str]
    tmpdir: str

    def __init__(
        self,
        argument_spec: Mapping[str, Mapping[str, Any]],
        *,
        supports_check_mode: bool = ...,
        required_if: Sequence[Sequence[Any]] | None = ...,
        required_together: Sequence[Sequence[str]] | None = ...,
        mutually_exclusive: Sequence[Sequence[str]] | None = ...,
    ) -> None: ...
    def exit_json(self, **kwargs: Any) -> NoReturn: ...
    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn: ...
    def warn(self, warning: str) -> None: ...
    @overload
    def get_bin_path(self, arg: str, required: Literal[True], opt_dirs: Sequence[str] | None = ...) -> str: ...
    @overload
    def get_bin_path(self, arg: str, required: bool = ..., opt_dirs: Sequence[str] | None = ...) -> str | None: ...
    def atomic_move(self, src: str, dest: str, unsafe_writes: bool = ..., keep_dest_attrs: bool = ...) -> None: ...
    def run_command(self, args: Sequence[str], **kwargs: Any) -> tuple[int, str, str]: ...
