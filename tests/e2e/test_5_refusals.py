"""Bad input to a finished site: everything that is wrong is told at once, by name, before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from site_under_test import Lab, Run, Site

pytestmark = pytest.mark.sampled("refusals")
HOSTS = ("n1", "n2", "n3")


def refused(site: Site, variables: dict[str, Any], *told: str) -> Run:
    """Run site.yml with those variables; it is to end in preflight and to say all that."""
    run = site.play("-e", json.dumps(variables))
    assert run.status != 0, run.tail
    assert [words for words in told if words not in run.output] == [], run.tail
    assert set(run.changed.values()) <= {0}, run.tail
    return run


@pytest.fixture
def addon(lab: Lab) -> Iterator[str]:
    """MicroK8s's own addon for GPUs, enabled."""
    lab.shell("n1", "/snap/bin/microk8s enable nvidia")
    yield "playbooks/operations/adopt.yml"
    lab.shell("n1", "/snap/bin/microk8s disable nvidia")


def test_what_does_not_answer_or_fit_is_refused(site: Site, addon: str) -> None:
    wrong = {
        "shared_storage_path": "/srv/alone",  # where nothing is mounted
        "shared_storage_source": "",
        "object_store_endpoint": "https://127.0.0.1:9",
        "object_store_access_key": "AKIAGROUNDWORK",
        "object_store_secret_key": "not-the-secret-key",
        "postgresql_host": "127.0.0.1",
        "postgresql_port": 9,
        "mlflow_node_port": 30900,
        "ray_worker_gpus": 3,
    }
    places = ("shared_storage.path_is_mounted", "object_store.answers", "postgresql.answers")
    refused(site, wrong, *places, "mlflow.entrance_port_is_free", "no host has 3 GPUs", addon)


def test_what_rests_on_a_part_that_is_switched_off_is_refused(site: Site) -> None:
    off = {"shared_storage_enabled": False}
    objects = off | {"object_store_enabled": False}
    refused(site, objects, "postgresql.has_a_volume", "postgresql.has_a_place_for_dumps")
    database = off | {"postgresql_enabled": False}
    refused(site, database, "object_store.has_a_volume", "mlflow.has_a_database")


def test_a_folder_that_each_host_has_alone_and_a_wrong_key_are_refused(site: Site, lab: Lab) -> None:
    """The lab's own gateway stands for a store that the site has."""
    address = lab.shell("n1", "hostname -I").split()[0]
    given = {
        "object_store_endpoint": f"https://{address}:30900",
        "object_store_ca_certificate": (site.artifacts / "ca.crt").read_text(),
        "object_store_access_key": "groundwork",
        "object_store_secret_key": "wrong",
        "shared_storage_path": "/srv/alone",
        "shared_storage_source": "",
        "ray_workers_max": 5,
    }
    for host in HOSTS:
        lab.shell(host, "mkdir -p /srv/alone && mount -t tmpfs alone /srv/alone")
    try:
        too_many = "hosts have GPUs for 4 workers with 1 each, not for 5"
        refused(site, given, "object_store.key_is_right", "shared_storage.path_is_shared", too_many)
    finally:
        for host in HOSTS:
            lab.shell(host, "umount /srv/alone && rmdir /srv/alone")


def test_gpus_that_cannot_be_cut_shared_or_set_so_are_refused(site: Site, lab: Lab) -> None:
    before = lab.shell("n2", "nvidia-smi -L")
    cut = {"devices": "all", "mig-enabled": True, "mig-devices": {"3g.40gb": 3}}
    wrong = {
        "gpu_mig_layout": "mine",
        "gpu_mig_config": {"version": "v1", "mig-configs": {"mine": [cut]}},
        "gpu_device_plugin_configurations": {"default": {"version": "v1", "sharin": {}}},
        "gpu_settings_power_limit_watts": 5000,
        "gpu_settings_by_gpu": [{"product": "Tesla T4", "ecc": True}],
    }
    settings = ("W, not 5000 W", "No GPU of this host is product Tesla T4")
    refused(site, wrong, "together fit 2 of 3 3g.40gb", "sharin cannot be used", *settings)
    assert lab.shell("n2", "nvidia-smi -L") == before


def test_a_containerd_that_was_taken_from_kubernetes_is_refused(site: Site, lab: Lab) -> None:
    """What configured Docker wrote its line into MicroK8s's template as well (gpu-operator#1367)."""
    template = "/var/snap/microk8s/current/args/containerd-template.toml"
    lab.shell("n2", f"cp -p {template} /tmp/template && sed -i '1i disabled_plugins = [\"cri\"]' {template}")
    try:
        refused(site, {}, "container_toolkit.template_serves_kubernetes", "n2")
    finally:
        lab.shell("n2", f"cp -p /tmp/template {template}")  # with its time: containerd need not start again


def test_another_branch_than_the_installed_one_is_refused_with_those_that_are_published(site: Site) -> None:
    told = ("gpu_driver.no_other_branch", "gpu_driver.branch_is_published", "branches that are there: 580, 595")
    refused(site, {"gpu_driver_branch": "570"}, *told)
