"""A server behind TLS that asks who one is: who may come in does, others are told so, and no secret is."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import time
import traceback
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
import trustme
from elasticsearch_package import ServerMissing, extended
from elasticsearch_server import Security

from lookalike.errors import StoreUnavailable, UsageError
from lookalike.stores import delete_store, exists, open_store

PROGRAM = Path(sys.executable).with_name("lookalike")
PLUGIN = Path(__file__).with_name("EmailAnalysis.java")
PASSWORD = "correct-Hörse-battery"  # noqa: S105
USER = {"ELASTIC_USER": "tester", "ELASTIC_PASSWORD": PASSWORD}
# What an API key needs for galleries whose names begin with `test-`, and nothing else.
MAY_WRITE = {"indices": [{"names": ["test-*"], "privileges": ["all"]}]}
MAY_NOTHING_HERE = {"indices": [{"names": ["other-*"], "privileges": ["all"]}]}
MAY_READ = {"indices": [{"names": ["test-*"], "privileges": ["read", "view_index_metadata"]}]}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """PEM files: an authority, the certificate and key it gave this machine, and a stranger's authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    blobs = {
        "authority": authority.cert_pem,
        "certificate": issued.cert_chain_pems[0],
        "key": issued.private_key_pem,
        "stranger": trustme.CA().cert_pem,
    }
    for name, blob in blobs.items():
        blob.write_to_path(str(folder / f"{name}.pem"))
    return {name: folder / f"{name}.pem" for name in blobs}


@pytest.fixture(scope="module")
def secured(running_elasticsearch, certificates):
    """A server with TLS and a user, on which API keys can be made."""
    files = {name: certificates[name] for name in ("certificate", "key", "authority")}
    security = Security(user="tester", password=PASSWORD, **files)
    try:
        home = extended(PLUGIN)
    except ServerMissing as missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no API keys: {missing}")
    with running_elasticsearch(security=security, home=home) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def api_key(secured):
    """Makes an API key, as the environment holds it, that may do some things."""

    def make(may):
        with secured.client() as client:
            answer = client.post(
                "/_security/api_key", json={"name": "test", "role_descriptors": {"own": may}}
            )
        return answer.raise_for_status().json()["encoded"]

    return make


@pytest.fixture
def address(secured, own_name):
    """The address of a gallery of the test's own on the secured server."""
    yield secured.address(own_name)
    secured.delete(own_name)


@pytest.fixture
def surroundings(monkeypatch):
    """Sets variables of the environment."""

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return put


def _secrets(variables):
    """Every way in which the secrets of an environment might be written."""
    secrets = set()
    for name, value in variables.items():
        if name == "ELASTIC_PASSWORD":
            secrets |= {value, base64.b64encode(f"tester:{value}".encode()).decode()}
        if name == "ELASTIC_API_KEY":
            secrets.add(value)
            with suppress(ValueError):
                secrets.add(base64.b64decode(value, validate=True).decode().partition(":")[2])
    return secrets - {""}


def _told(error, caplog):
    """Everything that was said: the error, where it came from, and every log at its most talkative."""
    return "\n".join([str(error), repr(error), *traceback.format_exception(error), caplog.text])


def _use(address, pictures):
    """Make a gallery, write to it, search it."""
    header, records, vectors = pictures
    with closing(open_store(address, create=header)) as store:
        with store.writing():
            assert store.write(records, vectors) == []
        store.refresh()
        assert store.search(vectors[3:4], 2)[0].ids[0] == records[3].id
        assert store.check() == []
        return store


@pytest.mark.parametrize("certified", ["in the address", "in the environment", "by the machine"])
def test_a_user_comes_in(address, certificates, surroundings, pictures, certified):
    """With name, password, and whom to trust by either way, everything works as without security."""
    surroundings(**USER)
    if certified == "in the address":
        address += f"?ca_cert={certificates['authority']}"
    elif certified == "by the machine":
        surroundings(SSL_CERT_FILE=certificates["authority"])
    else:
        surroundings(LOOKALIKE_CA_CERT=certificates["authority"])
    store = _use(address, pictures)
    assert PASSWORD not in f"{store!r}{store.address}{vars(store)}"


def test_an_api_key_of_few_rights_is_enough(address, certificates, surroundings, api_key, pictures):
    """A key for indices of some names, and for nothing else of the cluster, does for all of it."""
    surroundings(ELASTIC_API_KEY=api_key(MAY_WRITE), LOOKALIKE_CA_CERT=certificates["authority"])
    _use(address, pictures)


def test_an_alias_that_one_has_no_right_to(
    secured, address, own_name, certificates, surroundings, api_key, pictures
):
    """A gallery is built anew none the less; the alias stays behind."""
    surroundings(ELASTIC_API_KEY=api_key(MAY_WRITE), LOOKALIKE_CA_CERT=certificates["authority"])
    header, records, vectors = pictures
    with closing(open_store(address, create=header)) as store, secured.client() as client:
        client.put(f"/{own_name}~000001/_alias/shop").raise_for_status()
        with store.replacement(header.with_space(digest="1" * 64)) as fresh:
            fresh.write(records, vectors)
        assert (store.header.space.digest, store.count(), store.check()) == ("1" * 64, len(records), [])
        assert client.get("/_alias/shop").status_code == 404


def test_who_may_only_read_reads(address, certificates, surroundings, api_key, pictures):
    """A key that may only read searches and gets; when it writes it is told that it may not."""
    _, records, vectors = pictures
    surroundings(LOOKALIKE_CA_CERT=certificates["authority"], **USER)
    _use(address, pictures)
    surroundings(ELASTIC_API_KEY=api_key(MAY_READ))
    with closing(open_store(address)) as store:
        assert store.search(vectors[3:4], 2)[0].ids[0] == records[3].id
        assert store.get([records[5].id])[0].id == records[5].id
        assert store.vectors([records[5].id]).shape == (1, vectors.shape[1])
        with pytest.raises(StoreUnavailable, match=r"403.*ELASTIC_API_KEY"), store.writing():
            store.write(records[:1], vectors[:1])


def test_a_login_without_rights_is_told_so(address, certificates, surroundings, api_key, pictures):
    """A key that is good, but for other indices, is no damage: whatever is asked, it is said what to set."""
    surroundings(LOOKALIKE_CA_CERT=certificates["authority"], ELASTIC_API_KEY=api_key(MAY_NOTHING_HERE))
    for call in (exists, open_store, delete_store, partial(open_store, create=pictures[0])):
        with pytest.raises(StoreUnavailable, match=r"does not let you do that \(403\); set ELASTIC_API_KEY"):
            call(address)


WRONG = {
    "a wrong password": ({"ELASTIC_USER": "tester", "ELASTIC_PASSWORD": "hunter2-wrong"}, "authority", "401"),
    "nobody": ({}, "authority", r"401.*ELASTIC_API_KEY"),
    "a wrong key": ({"ELASTIC_API_KEY": "bm90aGluZzpodW50ZXIyLXdyb25n"}, "authority", "401"),
    "what is no key": ({"ELASTIC_API_KEY": "hunter2-wrong"}, "authority", "401"),
    "a stranger's certificate": (USER, "stranger", "--ca-cert"),
    "no certificate": (USER, None, "--ca-cert"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_at_once(address, certificates, surroundings, caplog, pictures, wrong):
    """Nothing is tried again that can't get better, the message says what to set, and no secret is told."""
    caplog.set_level(logging.DEBUG)
    variables, authority, said = WRONG[wrong]
    surroundings(**variables)
    if authority:
        surroundings(LOOKALIKE_CA_CERT=certificates[authority])
    begun = time.monotonic()
    opening = partial(open_store, address), partial(open_store, address, create=pictures[0])
    for call in (*opening, partial(exists, address)):
        with pytest.raises(StoreUnavailable, match=said) as caught:
            call()
        told = _told(caught.value, caplog)
        assert not [secret for secret in _secrets(variables) if secret in told], told
    assert time.monotonic() - begun < 5


def test_plain_http_at_a_port_with_tls(address, surroundings, caplog):
    """The message proposes elasticsearch+https."""
    caplog.set_level(logging.DEBUG)
    surroundings(**USER)
    plain = address.replace("elasticsearch+https", "elasticsearch")
    with pytest.raises(StoreUnavailable, match=r"elasticsearch\+https") as caught:
        open_store(plain)
    assert not [secret for secret in _secrets(USER) if secret in _told(caught.value, caplog)]


def test_tls_at_a_port_with_plain_http(elasticsearch_address, surroundings, caplog):
    """The message says that the server does not speak https; the password never left this machine."""
    caplog.set_level(logging.DEBUG)
    surroundings(**USER)
    secure = elasticsearch_address.replace("elasticsearch", "elasticsearch+https", 1)
    with pytest.raises(StoreUnavailable, match="does not speak https") as caught:
        open_store(secure)
    assert not [secret for secret in _secrets(USER) if secret in _told(caught.value, caplog)]


def test_a_certificate_authority_does_not_matter_without_tls(
    elasticsearch_address, certificates, surroundings
):
    """Who keeps one in the environment can use a server without TLS all the same."""
    surroundings(LOOKALIKE_CA_CERT=certificates["authority"])
    assert not exists(elasticsearch_address)


def test_a_user_without_a_password_is_an_error(address, surroundings):
    """Half of a login is a mistake, not a wish to come in as nobody."""
    surroundings(ELASTIC_USER="tester")
    with pytest.raises(UsageError, match="ELASTIC_PASSWORD is not"):
        open_store(address)


@pytest.mark.parametrize("login", ["key", "user"])
def test_the_program_tells_no_secret(address, certificates, api_key, photos, login):
    """index, search and info say nothing of it, neither to people nor as JSON, nor where they fail."""
    good = USER if login == "user" else {"ELASTIC_API_KEY": api_key(MAY_WRITE)}
    bad = {name: value if value == "tester" else f"{value[:-4]}wron" for name, value in good.items()}
    told = []
    commands = (["index", photos, "--model", "toy"], ["search", photos / "chelsea.png", "--json"], ["info"])
    for variables, code, asked in ((good, 0, commands), (bad, 1, commands[:2])):
        for words in asked:
            done = _program([*words, "--gallery", address, "--ca-cert", certificates["authority"]], variables)
            assert done.returncode == code, done.stderr
            told.append(done.stdout + done.stderr)
    assert not [
        (secret, text) for secret in _secrets(good) | _secrets(bad) for text in told if secret in text
    ]


def _program(words, variables):
    surroundings = {**os.environ, **variables, "LOOKALIKE_DEBUG": "1"}
    return subprocess.run([PROGRAM, *words], env=surroundings, capture_output=True, text=True, check=False)
