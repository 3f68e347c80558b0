"""The report on a site: JSON for machines, one page for people."""
