"""A slow or wrong GPU is named, by tables of measurements written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.groundwork.burn_in import judge
from ansible.module_utils.groundwork.burn_in.figures import PRODUCTS, UNREAD, expected
from ansible.module_utils.groundwork.burn_in.judge import RATED, Limits, Told
from ansible.module_utils.groundwork.check import Check

H100 = "NVIDIA H100 80GB HBM3"
LIMITS = Limits(siblings=0.9, product=0.6)


def measured(test: str, best: float | None, product: str = H100, **beside: Any) -> dict[str, Any]:
    unit = "TFLOP/s" if test.startswith("matrix") else "GB/s"
    result = {"gpu": "", "product": product, "test": test, "unit": unit, "best": best, "sustained": best}
    return {**result, "sizes": {}, "wrong": 0, "checked": 10, "note": "", **beside}


def told(gpu: str, *results: dict[str, Any], node: str = "n1", reason: str = "", problem: str = "") -> Told:
    return Told(node, gpu, tuple(results), reason, problem)


def check(name: str, *found: Told, left: tuple[str, ...] = ()) -> Check:
    return {each.name: each for each in judge.checks(found, left, LIMITS)}[f"gpu_burn_in.{name}"]


def test_all_well() -> None:
    found = [
        told(f"GPU-{number}", measured("copy", 3000.0 + number), measured("matrix_bf16", 700.0)) for number in range(4)
    ]
    assert {each.status for each in judge.checks(found, [], LIMITS)} == {"ok"}


@pytest.mark.parametrize("test", RATED)
def test_one_that_is_slow_beside_its_siblings_is_named_alone(test: str) -> None:
    found = [
        told(f"GPU-{number}", measured(test, 50.0 if number == 2 else 60.0), node=f"n{number}") for number in range(4)
    ]
    slow = check("as_fast_as_its_siblings", *found)
    assert slow.status == "failed"
    assert "GPU-2 on n2" in slow.observed
    assert "0.83 of its siblings'" in slow.observed
    assert not any(f"GPU-{number}" in slow.observed for number in (0, 1, 3))


def test_siblings_are_those_of_the_same_product() -> None:
    found = [told("GPU-0", measured("copy", 3000.0)), told("GPU-1", measured("copy", 1400.0, "NVIDIA A100-SXM4-40GB"))]
    assert check("as_fast_as_its_siblings", *found).status == "skipped"


def test_of_two_the_slower_one_is_named() -> None:
    found = [told("GPU-0", measured("copy", 3000.0)), told("GPU-1", measured("copy", 2000.0))]
    slow = check("as_fast_as_its_siblings", *found)
    assert ("GPU-1" in slow.observed, "GPU-0" in slow.observed) == (True, False)


def test_how_fast_patterns_are_is_compared_with_nobody() -> None:
    found = [told("GPU-0", measured("pattern", 900.0)), told("GPU-1", measured("pattern", 100.0))]
    assert check("as_fast_as_its_siblings", *found).status == "skipped"


def test_what_is_below_its_products_figure_is_worth_a_look() -> None:
    slow = check("as_fast_as_its_product", told("GPU-0", measured("copy", 1500.0)))
    assert slow.status == "warning"
    assert "0.45 of 3350" in slow.observed
    assert check("as_fast_as_its_product", told("GPU-0", measured("copy", 3000.0))).status == "ok"


def test_without_a_figure_nothing_is_judged_by_it() -> None:
    unknown = check("as_fast_as_its_product", told("GPU-0", measured("copy", 1.0, "NVIDIA B200")))
    assert (unknown.status, unknown.observed) == ("skipped", "no figure was read for NVIDIA B200")


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"wrong": 3, "checked": 10}, "3 wrong of 10"),
        ({"wrong": 1, "checked": 0, "note": "ended by CUDA error: uncorrectable ECC"}, "uncorrectable ECC"),
        ({"wrong": 8, "checked": 99, "note": "first in MiB 256 to 512"}, "8 wrong of 99 (first in MiB 256 to 512)"),
    ],
)
def test_a_wrong_one_is_named(beside: dict[str, Any], said: str) -> None:
    found = [told("GPU-0", measured("pattern", 1.0)), told("GPU-1", measured("pattern", 1.0, **beside), node="n2")]
    wrong = check("results_are_right", *found)
    assert wrong.status == "failed"
    assert f"GPU-1 on n2: pattern, {said}" in wrong.observed.replace("ended by CUDA error: ", "")
    assert "GPU-0" not in wrong.observed


REASON = "CUDA cannot be initialised: no driver"


def test_where_cuda_is_nowhere_it_is_skipped_with_the_reason() -> None:
    found = [told("GPU-0", reason=REASON), told("GPU-1", reason=REASON)]
    assert {each.name.split(".")[1]: each.status for each in judge.checks(found, [], LIMITS)} == {
        "all_gpus_were_tested": "ok",
        "cuda_initialises": "skipped",
        "results_are_right": "skipped",
        "as_fast_as_its_siblings": "skipped",
        "as_fast_as_its_product": "skipped",
    }
    assert check("cuda_initialises", *found).observed == REASON


def test_where_it_is_on_others_it_fails() -> None:
    found = check("cuda_initialises", told("GPU-0", measured("copy", 1.0)), told("GPU-1", reason=REASON, node="n2"))
    assert found.status == "failed"
    assert found.observed == f"GPU-1 on n2: {REASON}"


def test_what_was_not_tested_is_named() -> None:
    assert check("all_gpus_were_tested", told("GPU-0"), left=("n1: 1 in use by a/b",)).observed.endswith(
        "in use by a/b"
    )
    broken = check("all_gpus_were_tested", told("GPU-0", problem="ImagePullBackOff"), left=("n1: 1 in use by a/b",))
    assert (broken.status, broken.observed) == ("failed", "GPU-0 on n1: ImagePullBackOff")
    assert check("all_gpus_were_tested").status == "skipped"


def test_a_test_that_could_not_be_made_is_named() -> None:
    found = check("all_gpus_were_tested", told("GPU-0", measured("copy", None, note="something else holds too much")))
    assert (found.status, found.observed) == ("failed", "GPU-0 on n1: copy, something else holds too much")


def test_sums_over_all() -> None:
    good = [
        told("p0", {"gpu": "rank 0", "wrong": 0, "checked": 9, "best": 2.0}),
        told("p1", {"gpu": "rank 1", "wrong": 0, "checked": 9, "best": 3.0}),
    ]
    assert judge.all_reduce("a.b", good, "").observed == "2 take part, 2.00 GB/s"
    wrong = judge.all_reduce("a.b", [*good, told("p2", {"gpu": "rank 2", "wrong": 4, "checked": 9, "best": 3.0})], "")
    assert (wrong.status, wrong.observed) == ("failed", "n1 rank 2: 4 wrong of 9")
    assert judge.all_reduce("a.b", [told("p0", problem="connection refused")], "").status == "failed"
    assert judge.all_reduce("a.b", [], "").status == "failed"
    assert judge.all_reduce("a.b", [], "one GPU").observed == "not run: one GPU"


@pytest.mark.parametrize(
    ("product", "copy"),
    [
        ("NVIDIA H100 80GB HBM3", 3350.0),
        ("NVIDIA H100 PCIe", 2000.0),
        ("NVIDIA H200", 4800.0),
        ("NVIDIA A100-SXM4-40GB", 1555.0),
        ("NVIDIA A100 80GB PCIe", 2000.0),
        ("NVIDIA L40S", 860.0),
        ("NVIDIA B200", None),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_figures_are_found_by_the_products_name(product: str, copy: float | None) -> None:
    figure, source = expected(product, "copy")
    assert figure == copy
    assert (source == UNREAD) == (copy is None)


def test_every_figure_has_its_source_and_every_gap_its_reason() -> None:
    for product in PRODUCTS:
        for test, figure in product.figures.items():
            assert (product.sources[test].startswith("https://")) == (figure is not None)
