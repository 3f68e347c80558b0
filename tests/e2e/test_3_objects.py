"""The object store and PostgreSQL as outsiders meet them."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

import pytest
from site_under_test import Report, Site


def ask(site: Site, host: str, path: str, authority: bool = True) -> int:
    """The status of a request from this machine, which has no key."""
    address = site.lab.shell(host, "hostname -I").split()[0]
    trusted = str(site.artifacts / "ca.crt") if authority else None
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=trusted)),
    )
    try:
        with opener.open(f"https://{address}:30900{path}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_report_tells_that_objects_and_rows_are_kept(proved: Report) -> None:
    assert {"object_store.keeps_objects", "object_store.refuses_strangers"} <= set(proved.proofs)
    assert {"postgresql.databases_are_there", "postgresql.keeps_rows"} <= set(proved.proofs)


@pytest.mark.parametrize("host", ["n1", "n2", "n3"])
def test_every_node_is_an_entrance_whose_certificate_is_for_it(site: Site, host: str) -> None:
    assert ask(site, host, "/_/health") == 200
    assert {ask(site, host, path) for path in ("/", "/postgresql", "/list-users")} <= {400, 403, 404}


def test_who_does_not_know_the_authority_is_warned(site: Site) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(site, "n1", "/", authority=False)


def test_a_dump_is_made_and_put_back(site: Site) -> None:
    """Of the database that proofs write to: its row is the dump's again after it was changed."""
    run = site.play(playbook="playbooks/operations/backup.yml")
    assert run.status == 0, run.tail
    database = ["exec", "-n", "postgresql", "postgresql-1", "-c", "postgres", "--", "psql", "-At", "groundwork_verify"]
    before = site.kubectl(*database, "-c", "SELECT word FROM proof")
    site.kubectl(*database, "-c", "UPDATE proof SET word = 'changed'")
    consumer = ("-e", "postgresql_restore_database=groundwork-verify", "-e", "postgresql_allow_disruption=true")
    run = site.play(*consumer, playbook="playbooks/operations/restore.yml")
    assert run.status == 0, run.tail
    assert site.kubectl(*database, "-c", "SELECT word FROM proof") == before
