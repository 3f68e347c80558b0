"""Whether hosts are as they were left."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.groundwork.host.verify import Wanted, check, kernel, names

ADDRESSES = {"n1": "192.0.2.1", "n2": "192.0.2.2"}


def test_names() -> None:
    assert names(ADDRESSES, ADDRESSES.get).status == "ok"
    wrong = names(ADDRESSES, {"n1": "127.0.1.1"}.get)
    assert wrong.status == "failed"
    assert wrong.observed == "n1 is 127.0.1.1, not 192.0.2.1; n2 is unknown, not 192.0.2.2"


def test_kernel_settings() -> None:
    wanted = {"fs.inotify.max_user_instances": "8192"}
    assert kernel(wanted, wanted).status == "ok"
    assert kernel(wanted, {"fs.inotify.max_user_instances": "128"}).observed == "fs.inotify.max_user_instances = 128"
    assert kernel(wanted, {"fs.inotify.max_user_instances": None}).status == "failed"


def test_this_host(tmp_path: Path) -> None:
    """No environment, a setting that every Linux has, one that none has, and a name that resolves."""
    wanted = Wanted(
        {"localhost": "127.0.0.1"}, {"kernel.ostype": "Linux", "kernel.no_such_setting": "1"}, tmp_path, ("yaml",)
    )
    found = {verdict.name: verdict for verdict in check(wanted)}
    assert found["host_base.names_resolve"].status == "ok"
    assert found["host_base.kernel_settings_hold"].observed == "kernel.no_such_setting = None"
    assert "No such file" in found["host_base.venv_works"].observed


def test_an_environment_that_lacks_something(tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(
        "#!/bin/sh\necho 'Traceback'  >&2\necho \"ModuleNotFoundError: No module named 'yaml'\" >&2\nexit 1\n"
    )
    python.chmod(0o755)
    found = check(Wanted({}, {}, tmp_path, ("yaml",)))[-1]
    assert found.observed == "ModuleNotFoundError: No module named 'yaml'"
