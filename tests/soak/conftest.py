"""The soak tests use the fixtures of the e2e tests."""

from fixtures import fresh_site, lab, seed, site

__all__ = ["fresh_site", "lab", "seed", "site"]
