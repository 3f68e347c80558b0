"""The modules of the support bundle, as Ansible runs them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.kubernetes.cluster import Object

from tests.unit.library.conftest import Module

Load = Callable[[str], Module]


def test_collect_then_pack(load: Load, tmp_path: Path) -> None:
    archive = tmp_path / "staging/n1.tar.gz"
    told = load("support_collect").run(
        wanted=[{"name": "a.txt", "argv": ["sh", "-c", "echo planted-secret"]}],
        texts={"gpu/info.json": "{}"},
        archive=str(archive),
    )
    assert not told["changed"]
    assert [entry["status"] for entry in told["entries"]] == ["collected", "collected"]
    packed = load("support_bundle").run(
        cluster="lab",
        directory=str(tmp_path / "to"),
        archives={"hosts/n1": str(archive), "hosts/n2": str(tmp_path / "none.tar.gz")},
        problems={"hosts/n2": "away"},
        secrets=[base64.b64encode(b"planted-secret").decode()],
    )
    assert (packed["changed"], packed["removed"]) == (False, 1)
    assert packed["counts"]["hosts/n1"] == {"collected": 2}
    assert Path(packed["path"]).name.startswith("support-bundle-lab-2")
    assert len(packed["checks"]) == 3


def test_check_mode_runs_and_writes_nothing(load: Load, tmp_path: Path) -> None:
    wanted = [{"name": "a.txt", "argv": ["touch", str(tmp_path / "touched")]}]
    told = load("support_collect").run(check=True, wanted=wanted, archive=str(tmp_path / "x.tar.gz"))
    assert told["planned"] == [f"touch {tmp_path}/touched"]
    packed = load("support_bundle").run(check=True, cluster="lab", directory=str(tmp_path / "to"))
    assert packed["path"] == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_item_fails_with_the_remedy(load: Load, tmp_path: Path) -> None:
    failed = load("support_collect").run(wanted=[{"name": "a.txt"}], archive=str(tmp_path / "x.tar.gz"))
    assert failed["failed"]
    assert "argv" in failed["remedy"]


def test_what_a_cluster_is_to_be_asked(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_support_info")

    class Api:
        def get(self, path: str, **_query: str) -> Object:
            return {"items": [{"metadata": {"name": "kube-system"}}] if path.endswith("namespaces") else []}

    monkeypatch.setattr(module.code, "Client", lambda *_: Api())
    told = module.run(kubectl=["kubectl", "--kubeconfig=x"], namespaces=["kube-system", "none"])
    assert (told["changed"], told["namespaces"]) == (False, ["kube-system"])
    assert told["wanted"][0]["argv"][:3] == ["kubectl", "--kubeconfig=x", "get"]
    assert told["wanted"][0]["name"].startswith("namespaces/kube-system/")
