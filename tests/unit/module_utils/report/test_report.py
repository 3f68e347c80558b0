"""The report: JSON for machines, one page for people."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import STATUSES, Check
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.report import model, page, write
from ansible.module_utils.groundwork.report.model import Report
from hypothesis import given
from hypothesis import strategies as st

OK = Check("host_base.time", "ok", "in step", "in step")
WARNING = Check("host_base.certificates", "warning", "12 days left", "30 or more", "Run `microk8s refresh-certs`.")
FAILED = Check("gpu_driver.nvml_answers", "failed", "GPU 1 is lost", "all answer", "Reboot the host.")
SKIPPED = Check("kubernetes_gpu.running_pods_keep_their_gpu", "skipped", "cgroup v2")
MEMORY = {"total_mib": 81559, "used_mib": 10240, "free_mib": 70739, "reserved_mib": 580}
GPU = {
    "index": 0,
    "uuid": "GPU-a",
    "name": "NVIDIA H100 80GB HBM3",
    "pci": {"bus_id": "0000:1b:00.0"},
    "memory": MEMORY,
    "mig": {"mode_current": "disabled", "devices": []},
    "temperature": {"gpu_celsius": 31},
    "power": {"usage_watts": 71.2},
    "processes": [{"pid": 1}],
    "error": None,
}
SLICED = {
    **GPU,
    "mig": {"devices": [{"uuid": f"MIG-{number}", "profile": "1g.10gb"} for number in range(7)]},
    "processes": [],
}
LOST = {"index": 1, "pci": {"bus_id": "0000:43:00.0"}, "error": {"code": "GpuIsLost", "message": "GPU is lost"}}


def report(
    checks: list[Check] | None = None,
    gpus: list[dict[str, Any]] | None = None,
    elapsed_seconds: float | None = None,
    **found: dict[str, str],
) -> Report:
    host = {
        "groups": ["workers", "gpu_nodes"],
        "system": "Debian 12",
        "checks": [check.to_dict() for check in (checks if checks is not None else [OK])],
        "gpus": gpus if gpus is not None else [GPU],
        **found,
    }
    return model.make("lab", {"n2": host, "n1": {}}, "2026-11-21T11:00:00+00:00", elapsed_seconds)


class Page(HTMLParser):
    """What a browser makes of a page: text, classes, links to elsewhere, and whether every element is closed."""

    EMPTY = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.classes: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.opened: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)
        found = dict(attrs)
        self.classes += (found.get("class") or "").split()
        self.ids += [found["id"] or ""] if "id" in found else []
        self.targets += [found[key] or "" for key in ("href", "src") if key in found]
        if tag == "details" and "open" in found:
            self.opened.append(found["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


@pytest.mark.parametrize(
    ("checks", "ok", "status"),
    [
        ([], True, "ok"),
        ([OK], True, "ok"),
        ([OK, SKIPPED], True, "skipped"),
        ([OK, WARNING], True, "warning"),
        ([OK, WARNING, FAILED, SKIPPED], False, "failed"),
    ],
)
def test_ok_is_the_one_key_that_automation_needs(checks: list[Check], ok: bool, status: str) -> None:
    found = report(checks).to_dict()
    assert (found["ok"], found["status"]) == (ok, status)
    assert sum(found["counts"].values()) == len(checks)


def test_the_json_has_stable_keys() -> None:
    found = report([OK], elapsed_seconds=12.5, versions={"MicroK8s": "1.36"}, endpoints={"API": "https://n1"}).to_dict()
    assert list(found) == [
        "schema", "ok", "status", "cluster", "generated_at", "elapsed_seconds", "counts", "hosts", "versions",
        "endpoints",
    ]  # fmt: skip
    assert list(found["hosts"]["n2"]) == ["status", "groups", "system", "checks", "gpus", "offers"]
    assert found["hosts"]["n2"]["checks"] == [OK.to_dict()]
    assert found["hosts"]["n1"] == {"status": "ok", "groups": [], "system": "", "checks": [], "gpus": [], "offers": {}}
    assert json.loads(json.dumps(found)) == found


def test_versions_name_their_hosts_only_where_hosts_differ() -> None:
    hosts = {name: {"versions": {"driver": "580.95.05", "toolkit": "1.20.0"}} for name in ("n1", "n2")}
    hosts["n3"] = {"versions": {"driver": "580.126.09"}}
    found = model.make("lab", hosts, "now").versions
    assert found == {"driver": "580.95.05 on n1, n2; 580.126.09 on n3", "toolkit": "1.20.0"}


def test_hosts_come_in_order_and_may_lack_anything() -> None:
    assert [host.name for host in report().hosts] == ["n1", "n2"]


def test_a_host_that_preflight_wrote_into_a_check_is_no_fault() -> None:
    made = model.make("lab", {"n1": {"checks": [{**OK.to_dict(), "host": "n1"}]}}, "now")
    assert made.checks == [OK]


def test_what_is_no_check_is_refused() -> None:
    with pytest.raises(GroundworkError, match="Not a check"):
        model.make("lab", {"n1": {"checks": [{"name": "x", "status": "fine"}]}}, "now")


def test_the_serious_come_first() -> None:
    assert model.by_severity([OK, SKIPPED, FAILED, WARNING]) == [FAILED, WARNING, SKIPPED, OK]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (report([OK]), True),
        (report([OK], elapsed_seconds=99.0), True),
        (report([OK], [{**GPU, "temperature": {"gpu_celsius": 44}, "memory": {**MEMORY, "used_mib": 3}}]), True),
        (report([WARNING]), False),
        (report([OK], [{**GPU, "error": LOST["error"]}]), False),
        (report([OK], [SLICED]), False),
        (report([OK], versions={"MicroK8s": "1.36"}), False),
    ],
)
def test_times_and_temperatures_are_no_news(other: Report, same: bool) -> None:
    assert model.same_but_for_times(report([OK]).to_dict(), other.to_dict()) is same


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    found = Page(page.render(report([OK, FAILED, WARNING, SKIPPED], [GPU, SLICED, LOST], elapsed_seconds=725.4)))
    assert found.open == []
    assert all(target.startswith("#") for target in found.targets)
    html = page.render(report())
    assert not any(word in html for word in ("<script", "@import", "url(", "http://", "<link", "<img"))


def test_the_page_follows_the_readers_light_or_dark() -> None:
    html = page.render(report())
    assert "prefers-color-scheme: dark" in html
    assert '<meta name="color-scheme" content="light dark">' in html


def test_the_page_says_what_people_look_for() -> None:
    versions, endpoints = {"MicroK8s": "1.36/stable"}, {"Kubernetes API": "https://10.77.0.11:16443"}
    made = report([OK, FAILED], [GPU, LOST], elapsed_seconds=725.4, versions=versions, endpoints=endpoints)
    text = Page(page.render(made)).text
    for words in (
        "lab", "Something is wrong", "took 12 min 5 s", "2hosts", "2GPUs, 1 not answering", "1checks failed",
        "0 H100 80GB HBM3", "10.0 of 80 GiB used", "31 °C · 71 W · 1 process", "GPU is lost", "0000:43:00.0",
        "gpu_driver.nvml_answers", "GPU 1 is lost", "→ Reboot the host.", "Debian 12", "gpu_nodes", "no GPU",
        "1.36/stable", "https://10.77.0.11:16443",
    ):  # fmt: skip
        assert words in text


def test_mig_devices_are_side_by_side() -> None:
    assert Page(page.render(report([OK], [SLICED]))).text.count("1g.10gb") == 7


def test_the_map_says_what_pods_ask_for_to_get_each_device() -> None:
    resources = {
        "nvidia.com/gpu": [],
        "nvidia.com/gpu.shared": [GPU["uuid"]] * 4,
        "nvidia.com/mig-1g.10gb": [f"MIG-{number}" for number in range(7)],
    }
    made = model.make("lab", {"n2": {"gpus": [GPU, {**SLICED, "uuid": "GPU-b"}], "resources": resources}}, "now")
    offers = made.to_dict()["hosts"]["n2"]["offers"]
    assert offers[GPU["uuid"]] == {"resource": "nvidia.com/gpu.shared", "shares": 4}
    assert offers["MIG-6"] == {"resource": "nvidia.com/mig-1g.10gb", "shares": 1}
    text = Page(page.render(made)).text
    assert text.count("nvidia.com/gpu.shared, shared by 4") == 1
    assert text.count("nvidia.com/mig-1g.10gb") == 1


@pytest.mark.parametrize(
    ("checks", "opened"),
    [([OK], []), ([OK, SKIPPED], []), ([OK, WARNING], ["n2"]), ([FAILED], ["n2"])],
)
def test_hosts_with_something_to_do_are_unfolded(checks: list[Check], opened: list[str]) -> None:
    assert Page(page.render(report(checks))).opened == opened


def test_links_lead_somewhere() -> None:
    found = Page(page.render(report()))
    assert {target.removeprefix("#") for target in found.targets} == set(found.ids) == {"n1", "n2"}


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_a_colour_a_sign_and_a_sentence(status: Any) -> None:
    found = Page(page.render(report([Check("a.b", status, "seen", "wanted", "do")])))
    assert f"{page.SIGNS[status]} {status}" in found.text
    assert page.VERDICTS[status] in found.text
    assert status in found.classes


def test_remedies_are_shown_only_where_there_is_something_to_cure() -> None:
    assert "→" not in Page(page.render(report([Check("a.b", "ok", "seen", "wanted", "never shown")]))).text


@given(st.text())
def test_no_text_whatever_breaks_out_of_the_page(text: str) -> None:
    """Observations come from hosts: none of them may write into the page of whoever reads it."""
    evil = f"<script>alert(1)</script>{text}"
    check = Check(evil, "failed", evil, evil, evil)
    gpus = [{**GPU, "name": evil, "uuid": evil}, {**LOST, "error": {"message": evil}}]
    made = model.make(
        evil, {evil: {"checks": [check.to_dict()], "gpus": gpus, "system": evil, "groups": [evil]}}, "now"
    )
    assert "<script" not in page.render(made)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 s"), (9.4, "9 s"), (59.6, "1 min 0 s"), (725.4, "12 min 5 s"), (7322, "122 min 2 s")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert page.duration(seconds) == text


def test_both_files_are_written_and_only_news_is_news(tmp_path: Path) -> None:
    directory = tmp_path / "artifacts/lab"
    assert write.write(report([OK]), directory)
    assert not write.write(report([OK], elapsed_seconds=3.0), directory)
    assert write.write(report([FAILED]), directory)
    assert sorted(path.name for path in directory.iterdir()) == ["report.html", "report.json"]
    assert json.loads((directory / "report.json").read_text())["ok"] is False
    assert "Something is wrong" in (directory / "report.html").read_text()


@pytest.mark.parametrize("old", ["", "{", "[]", '{"hosts": 3}', '{"hosts": {"n1": {}}}', "null"])
def test_an_older_report_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, old: str) -> None:
    (tmp_path / "report.json").write_text(old)
    assert write.write(report(), tmp_path)
