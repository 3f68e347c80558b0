"""Run a playbook of this project by ansible-runner."""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ansible_runner

from groundwork import processes
from groundwork.errors import UsageError
from groundwork.paths import PROJECT
from groundwork.result import Event, Result, Status
from groundwork.story import Story

POLL_SECONDS = 0.5
"""How long a wish to cancel may go unseen."""
GRACE_SECONDS = 10
"""How long ansible-playbook may take to end by itself when it is asked to."""
ENDED_BY_SIGNAL = 254
"""ansible-runner's own exit status of a cancelled run."""
_FOREIGN = ("JOB_ID", "AD_HOC_COMMAND_ID", "PROJECT_UPDATE_ID")
"""AWX's variables, which ansible-runner's callback reads as numbers; CI systems have a JOB_ID too."""

Inventory = str | Path | Sequence[str | Path]


def run(
    playbook: str | Path = "site.yml",
    inventory: Inventory = (),
    *,
    extra_vars: Mapping[str, Any] | None = None,
    check: bool = False,
    diff: bool = False,
    limit: str | Sequence[str] = "",
    on_event: Callable[[Event], object] | None = None,
    cancel: Callable[[], bool] | None = None,
    artifacts: str | Path | None = None,
) -> Result:
    """Run a playbook to its end; what fails is told in the result.

    Several runs may go on at once, in threads or processes. `on_event` and `cancel` are called in the caller's thread.

    Args:
        playbook: a path in this project or from the working directory.
        inventory: what ansible-playbook takes after -i: a file, a directory, `host,`, or several of them.
        extra_vars: as by -e, so they win over all others, and Jinja in them is rendered. They pass by a file that only
            this user can read and that is gone once Ansible has read it: secrets are safe here.
        check: change nothing, say what would be changed.
        diff: let changes say what they change (Event.diff).
        limit: host patterns, as by --limit.
        on_event: called at every step; an exception it raises ends the run and passes on.
        cancel: asked about twice a second; once it says True, the run is ended and the result's status is `canceled`.
        artifacts: a directory below which ansible-runner's output and events of this run are kept, in a directory of
            its own that only this user can read (Result.artifacts); by default nothing is kept.

    Raises:
        UsageError: the run cannot be begun.
        KeyboardInterrupt: passes on, once all that was started has ended.
    """
    path, sources = _playbook(playbook), _inventory(inventory)
    keep = artifacts is not None
    began = time.monotonic()
    with _private_directory(artifacts) as private:
        _write_extra_vars(private, extra_vars)
        config = _configure(private, path, sources, _switches(check, diff), limit, keep=keep)
        story = Story()
        with _Execution(config, keep=keep) as execution:
            cancelled = _follow(execution, story, on_event, cancel)
        if execution.error:
            raise execution.error
        rc = ENDED_BY_SIGNAL if cancelled or execution.rc is None else execution.rc
        failures = story.failures() if cancelled else story.failures() or story.why(rc)
        status: Status = "canceled" if cancelled else "failed" if rc or failures else "successful"
        return Result(
            playbook=str(playbook),
            status=status,
            rc=rc,
            elapsed_seconds=time.monotonic() - began,
            hosts=story.counts(),
            failures=failures,
            report=story.written(),
            artifacts=private if keep else None,
        )


class _Execution:
    """ansible-runner at work in a thread of its own.

    In the caller's thread a KeyboardInterrupt, or an error of a callback, would leave ansible-runner in the middle and
    ansible-playbook running. Leaving the block ends what is not at its end; nothing is left behind.
    """

    def __init__(self, config: Any, *, keep: bool) -> None:
        self.rc: int | None = None
        self.error: BaseException | None = None
        self._ended = False
        self._events: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self._keep = keep
        self._mark = f"AWX_ISOLATED_DATA_DIR={config.artifact_dir}"
        self._extra_vars = Path(config.private_data_dir, "env/extravars")
        self._killed = threading.Event()
        self._runner = ansible_runner.Runner(config, event_handler=self._take, cancel_callback=self._killed.is_set)
        self._thread = threading.Thread(target=self._work, name="ansible-runner", daemon=True)

    def __enter__(self) -> _Execution:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended:
            self._end()
        self._thread.join()
        if self.rc is None or self._killed.is_set():  # a signal may have ended ansible-playbook alone
            processes.kill(processes.tree(self._mark))

    def next(self) -> Mapping[str, Any] | None:
        """The next event; empty when there was none for a while, None at the end."""
        try:
            event = self._events.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return {}
        self._ended = event is None
        return event

    def _take(self, event: dict[str, Any]) -> bool:
        """Called by ansible-runner, which passes over an OSError here. True: it writes the event to a file."""
        if event.get("event") == "playbook_on_start":
            self._extra_vars.unlink(missing_ok=True)  # Ansible reads them before
        if "censored" in ((event.get("event_data") or {}).get("res") or {}):
            event["stdout"] = "(hidden: no_log)"  # ansible-core 2.19 prints the error of a no_log task in clear
        self._events.put(dict(event))
        return self._keep

    def _work(self) -> None:
        try:
            _, self.rc = self._runner.run()
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            self.error = error
        finally:
            self._events.put(None)

    def _end(self) -> None:
        """Ask first, then kill; whoever interrupts the wait has it killed at once."""
        found = processes.tree(self._mark)
        try:
            processes.interrupt(found)
            self._thread.join(GRACE_SECONDS if found else 0)
        finally:
            found += processes.tree(self._mark)
            self._killed.set()
            processes.kill(found)
            self._thread.join()


def _follow(
    execution: _Execution,
    story: Story,
    on_event: Callable[[Event], object] | None,
    cancel: Callable[[], bool] | None,
) -> bool:
    """Tell each step; whether the run was cancelled."""
    while (raw := execution.next()) is not None:
        for event in story.take(raw):
            if on_event:
                on_event(event)
        if cancel and cancel():
            return True
    return False


def _playbook(playbook: str | Path) -> Path:
    tried = (PROJECT / playbook, Path(playbook).absolute())
    for path in tried:
        if path.is_file():
            return path
    raise UsageError(f"There is no playbook {playbook}", f"Name one of the project ({PROJECT}), such as site.yml.")


def _inventory(inventory: Inventory) -> list[str]:
    sources = [inventory] if isinstance(inventory, str | Path) else list(inventory)
    if not sources:
        raise UsageError("No inventory is named", "Name one, such as inventories/mine (a copy of inventories/example).")
    for source in sources:
        if "," not in str(source) and not Path(source).exists():
            raise UsageError(f"There is no inventory {source}", "Name a file or directory; see inventories/example.")
    return [str(source) if "," in str(source) else str(Path(source).absolute()) for source in sources]


def _switches(check: bool, diff: bool) -> str:
    return " ".join(["--check"] * check + ["--diff"] * diff)


@contextmanager
def _private_directory(parent: str | Path | None) -> Iterator[Path]:
    """A directory that only this user can read; removed at the end where no parent is named."""
    if parent is not None:
        Path(parent).mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=time.strftime("run-%Y%m%dT%H%M%S-"), dir=parent)).absolute()
    try:
        yield path
    finally:
        if parent is None:
            shutil.rmtree(path, ignore_errors=True)
        else:
            # What is kept is for finding faults: neither the variables nor the environment, which may hold secrets.
            shutil.rmtree(path / "env", ignore_errors=True)
            for command in path.glob("artifacts/*/command"):
                command.unlink()


def _write_extra_vars(private: Path, extra_vars: Mapping[str, Any] | None) -> None:
    """Where ansible-runner looks for them: it hands the file's name on, and not their values."""
    if not extra_vars:
        return
    try:
        text = json.dumps(dict(extra_vars))
    except (TypeError, ValueError) as error:
        message = f"extra_vars cannot be written as JSON: {error}"
        raise UsageError(message, "Use texts, numbers, lists and dicts.") from None
    (private / "env").mkdir(mode=0o700)
    descriptor = os.open(private / "env/extravars", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _configure(
    private: Path, playbook: Path, inventory: list[str], switches: str, limit: str | Sequence[str], *, keep: bool
) -> Any:
    """ansible-runner's configuration, corrected where its own choices differ from those of ansible-playbook.

    They were read at ansible_runner/config/_base.py of the pinned version.
    """
    config = ansible_runner.RunnerConfig(
        private_data_dir=str(private),
        project_dir=str(PROJECT),
        ident="run",
        playbook=str(playbook),
        inventory=inventory,
        limit=(limit if isinstance(limit, str) else ",".join(limit)) or None,
        cmdline=switches or None,
        quiet=True,
        fact_cache_type="as in ansible.cfg",  # jsonfile, its default, would be set for Ansible
        envvars={
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "MAX_EVENT_RES": "10000000",  # larger results come empty; a report of many hosts is larger than the default
            "PATH": f"{_programs()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        },
    )
    config.prepare()
    config.cwd = str(PROJECT)
    config.pexpect_timeout = POLL_SECONDS
    config.suppress_output_file = not keep
    if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:
        del config.env["ANSIBLE_HOST_KEY_CHECKING"]  # it turns the check of host keys off
    for name in _FOREIGN:
        config.env.pop(name, None)
    return config


def _programs() -> Path:
    """Where ansible-playbook lies: beside the running Python, or in the project's environment."""
    for directory in (Path(sys.executable).parent, PROJECT / ".venv/bin"):
        if (directory / "ansible-playbook").exists():
            return directory
    raise UsageError("ansible-playbook is not there", "Run script/setup, and use .venv/bin/python.")
