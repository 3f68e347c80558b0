"""The e2e tests' fixtures."""

from fixtures import fresh_site, lab, seed, site

__all__ = ["fresh_site", "lab", "seed", "site"]
