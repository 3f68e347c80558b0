"""The e2e tests' fixtures."""

from fixtures import fresh_site, lab, proved, python, seed, site

__all__ = ["fresh_site", "lab", "proved", "python", "seed", "site"]
