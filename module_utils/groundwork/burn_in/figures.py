"""What each product can do at most, as somebody published it; None, with the reason, where that was read nowhere.

In dense matrices, 10^12 operations a second; of memory and of the way to the host, one way, 10^9 bytes a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PEAKS = (
    "https://github.com/stas00/ml-engineering compute/accelerator/README.md at 00744732, from NVIDIA's specifications"
)
A100 = "https://glennklockwood.com/garden/processors/A100, from NVIDIA's datasheet"
H100 = "https://glennklockwood.com/garden/processors/h100, from NVIDIA's datasheet; half of both ways together"
UNREAD = "no published figure was read"


@dataclass(frozen=True)
class Product:
    """A product by its name at NVML, and its figures by test; `sources` says where they, or why they are not."""

    name: re.Pattern[str]
    figures: Mapping[str, float | None]
    sources: Mapping[str, str]


def _product(
    name: str,
    matrix: tuple[float | None, float | None],
    copy: float | None,
    host: float | None,
    sources: Mapping[str, str] | None = None,
) -> Product:
    """A product; `matrix` is 16 bits and TF32. Its figures are from PEAKS unless `sources` says otherwise."""
    figures = {
        "matrix_bf16": matrix[0],
        "matrix_fp16": matrix[0],
        "matrix_tf32": matrix[1],
        "copy": copy,
        "to_gpu": host,
        "from_gpu": host,
    }
    found = {test: PEAKS if figure is not None else UNREAD for test, figure in figures.items()}
    return Product(re.compile(name), figures, found | dict(sources or {}))


PRODUCTS = (
    _product(r"H200(?! NVL)", (989.0, 494.5), 4800.0, None),
    _product(r"H100 80GB HBM3", (989.0, 494.5), 3350.0, 64.0, {"to_gpu": H100, "from_gpu": H100}),
    _product(r"H100 PCIe", (756.0, 378.0), 2000.0, None),
    _product(r"A100.*80GB", (312.0, 156.0), 2000.0, 32.0, {"to_gpu": A100, "from_gpu": A100}),
    _product(r"A100.*40GB", (312.0, 156.0), 1555.0, 32.0, {"copy": A100, "to_gpu": A100, "from_gpu": A100}),
    _product(r"L40S", (362.0, 183.0), 860.0, None),
    # The source was written before NVIDIA published any, and gives what it made of a whole system's.
    _product(r"B200", (None, None), None, None),
)


def expected(product: str, test: str) -> tuple[float | None, str]:
    """The figure of a product's test, and its source or why there is none.

    >>> expected("NVIDIA A100-SXM4-40GB", "copy")[0]
    1555.0
    """
    for known in PRODUCTS:
        if known.name.search(product):
            return known.figures.get(test), known.sources.get(test, UNREAD)
    return None, UNREAD
