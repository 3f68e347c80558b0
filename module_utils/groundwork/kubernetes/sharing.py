"""What a configuration of NVIDIA's device plugin has a node offer, decided before the plugin reads it.

The plugin passes over keys that it does not know, and over some that it knows; a node would then share nothing, and
nobody be told. So whatever the plugin would not do as written is refused here.
https://github.com/NVIDIA/k8s-device-plugin/tree/v0.19.0, api/config/v1
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.groundwork.check import Check, failed, ok, warning
from ansible.module_utils.groundwork.errors import GroundworkError

DEFAULT = "default"
"""The configuration of nodes that name none."""
STRATEGIES = ("mixed", "single")
"""MIG devices by the names of their profiles, or all of a node's, which are of one profile, as nvidia.com/gpu.

"none" would offer GPUs that nothing can use while MIG is on.
"""
WHOLE = "nvidia.com/gpu"
SHARED = ".shared"
VERSION = "v1"
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""What may be a key of a ConfigMap and a label's value."""
RESOURCE = re.compile(r"nvidia\.com/(gpu|mig-\d+g\.\d+gb[a-z.]*)")
REMEDY = (
    "Correct gpu_device_plugin_configurations, or this host's gpu_device_plugin_configuration; see docs/sharing.md."
)
RENAME = "Set renameByDefault; pods then ask for nvidia.com/gpu.shared. Leave it where all that runs may share."
Schema = Mapping[str, "Schema | None"]
SCHEMA: Schema = {
    "version": None,
    "flags": {
        **dict.fromkeys(("migStrategy", "failOnInitError", "mpsRoot", "nvidiaDriverRoot", "nvidiaDevRoot")),
        **dict.fromkeys(("gdrcopyEnabled", "gdsEnabled", "mofedEnabled", "useNodeFeatureAPI")),
        "deviceDiscoveryStrategy": None,
        "plugin": {
            **dict.fromkeys(("passDeviceSpecs", "deviceListStrategy", "deviceIDStrategy", "cdiAnnotationPrefix")),
            **dict.fromkeys(("nvidiaCTKPath", "containerDriverRoot")),
        },
        "gfd": dict.fromkeys(("oneshot", "noTimestamp", "sleepInterval", "outputFile", "machineTypeFile")),
    },
    "sharing": {"timeSlicing": dict.fromkeys(("renameByDefault", "failRequestsGreaterThanOne", "resources"))},
    "imex": dict.fromkeys(("channelIDs", "required")),
}
"""The keys that are known at each place; None: a value, which the plugin judges."""
PASSED_OVER = {
    "resources": "the plugin passes over it",
    "sharing.mps": "its daemon is not run by Groundwork",
    "rename": "the plugin passes over it; renameByDefault gives a name",
    "devices": "the plugin passes over it, and shares all of a node",
}


@dataclass(frozen=True)
class Sharing:
    """How a node's devices are shared.

    replicas  how often each device of a resource is offered; once where it is not named
    renamed   whether what is shared has a name of its own, nvidia.com/gpu.shared
    single    whether MIG devices are offered as if they were GPUs
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    renamed: bool = False
    single: bool = False

    def offered(self, resources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """The UUIDs behind what the plugin offers, by resource; a UUID stands as often as it is offered.

        resources  what there is, by the name under which it is offered where nothing is shared

        Raises GroundworkError where the plugin would not start, since MIG devices of several kinds have one name.
        """
        resources = _as_gpus(resources) if self.single else resources
        found: dict[str, list[str]] = {resource: [] for resource in resources}
        for resource, uuids in resources.items():
            times = self.replicas.get(resource, 1)
            name = resource + SHARED if self.renamed and times > 1 else resource
            found[name] = [uuid for uuid in uuids for _ in range(times)]
        return found


def _as_gpus(resources: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """MIG devices by the name of whole GPUs, where the plugin's rules for that hold (its internal/rm/device_map.go)."""
    kinds = [resource for resource, uuids in resources.items() if uuids]
    if len(kinds) > 1:
        raise GroundworkError(
            f"migStrategy single offers one kind of device on a node, and here are {', '.join(sorted(kinds))}",
            "Choose a layout that cuts all GPUs of the host into one profile, or a configuration of migStrategy mixed.",
        )
    return {WHOLE: [uuid for uuids in resources.values() for uuid in uuids]}


def select(configurations: Mapping[str, Any], name: str) -> Sharing:
    """How a node with the configuration of that name shares.

    Raises GroundworkError with every fault of all configurations.
    """
    faults = list(_faults(configurations, name))
    if faults:
        raise GroundworkError("; ".join(faults), REMEDY)
    slicing = configurations[name].get("sharing", {}).get("timeSlicing", {})
    replicas = {entry["name"]: entry["replicas"] for entry in slicing.get("resources", ())}
    single = configurations[name]["flags"]["migStrategy"] == "single"
    return Sharing(replicas, slicing.get("renameByDefault", False), single)


def check(configurations: Mapping[str, Any], name: str) -> list[Check]:
    """The verdicts on a node's configuration, before anything is changed."""
    valid = "gpu_device_plugin.configuration_is_valid"
    named = "gpu_device_plugin.shares_have_their_own_name"
    try:
        sharing = select(configurations, name)
    except GroundworkError as error:
        return [failed(valid, error.message, "a configuration that the device plugin follows to the letter", REMEDY)]
    shared = ", ".join(f"{resource} {times} times" for resource, times in sorted(sharing.replicas.items()))
    told = ok(valid, f"{name} shares {shared}" if shared else f"{name} shares nothing")
    if not shared or sharing.renamed:
        return [told, ok(named, "no share has the name of a whole device")]
    return [
        told,
        warning(
            named,
            f"{name} offers shares of {', '.join(sorted(sharing.replicas))} by the name of whole devices",
            "renameByDefault: true, so that who asks for a whole GPU gets one",
            RENAME,
        ),
    ]


def _faults(configurations: Mapping[str, Any], name: str) -> Iterator[str]:
    for needed in dict.fromkeys((DEFAULT, name)):
        if needed not in configurations:
            yield f"there is no configuration {needed} among {', '.join(map(str, configurations)) or 'none'}"
    for known, configuration in configurations.items():
        if not NAME.fullmatch(str(known)):
            yield f"{known} cannot be the name of a configuration: it becomes a label of the node"
        yield from (f"{known}: {fault}" for fault in _faults_of(configuration))


def _faults_of(configuration: Any) -> Iterator[str]:
    if not isinstance(configuration, Mapping):
        yield f"it is no mapping, but {configuration!r}"
        return
    if configuration.get("version", VERSION) != VERSION:
        yield f"version is {configuration['version']}, and the plugin knows {VERSION}"
    unknown = list(_unknown(configuration, SCHEMA, ""))
    yield from unknown
    if unknown:
        return
    strategy = (configuration.get("flags") or {}).get("migStrategy")
    if strategy not in STRATEGIES:
        yield f"flags.migStrategy is {strategy or 'missing'}; MIG devices are offered by mixed, or single"
    if "timeSlicing" in (configuration.get("sharing") or {}):
        yield from _faults_of_slicing(configuration["sharing"]["timeSlicing"])


def _unknown(given: Any, schema: Schema, place: str) -> Iterator[str]:
    """Keys that the plugin would not follow, and what is no mapping where one belongs."""
    if not isinstance(given, Mapping):
        yield f"{place.rstrip('.')} is no mapping, but {given!r}"
        return
    for key, value in given.items():
        inner = schema.get(key)
        if key not in schema:
            yield f"{place}{key} cannot be used: {_why(place, key, schema)}"
        elif inner is not None:
            yield from _unknown(value, inner, f"{place}{key}.")


def _why(place: str, key: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(str(key), list(known), n=1)
    reason = PASSED_OVER.get(f"{place}{key}") or PASSED_OVER.get(key, "the plugin knows no such key")
    return f"{reason} (did you mean {nearest[0]}?)" if nearest else reason


def _faults_of_slicing(slicing: Mapping[str, Any]) -> Iterator[str]:
    for flag in ("renameByDefault", "failRequestsGreaterThanOne"):
        if not isinstance(slicing.get(flag, False), bool):
            yield f"{flag} is true or false, and not {slicing[flag]!r}"
    entries = slicing.get("resources")
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        yield "sharing.timeSlicing.resources is no list of resources"
        return
    for entry in entries:
        yield from _faults_of_resource(entry)
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    yield from (f"{name} is shared twice" for name in dict.fromkeys(names) if names.count(name) > 1)


def _faults_of_resource(entry: Any) -> Iterator[str]:
    schema: Schema = {"name": None, "replicas": None}
    unknown = list(_unknown(entry, schema, "sharing.timeSlicing.resources."))
    yield from unknown
    if not isinstance(entry, Mapping):
        return
    name, replicas = entry.get("name"), entry.get("replicas")
    if not isinstance(name, str) or not RESOURCE.fullmatch(name):
        yield f"nvidia.com/gpu or nvidia.com/mig-PROFILE can be shared, and not {name}"
    if type(replicas) is not int or replicas < 2:
        yield f"replicas of {name} is a number from 2 on, and not {replicas!r}"
