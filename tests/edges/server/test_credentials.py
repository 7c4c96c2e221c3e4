"""The credential: where it is found, what is said when it is not, and never its content."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deriva_watch.core.errors import CredentialError
from deriva_watch.edges.server.credentials import CredentialSource, Origin

HOST = "data.example.org"
TOKEN = {"bearer-token": "t0ken-of-the-lab"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An account that never logged in."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def put(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(0o600)
    return file


def complaint(source):
    with pytest.raises(CredentialError) as raised:
        source.read()
    return raised.value


@pytest.mark.parametrize("credential", [TOKEN, {"cookie": "webauthn=abc"}])
def test_the_credential_of_the_host_is_read(tmp_path, credential):
    file = put(tmp_path / "c.json", {"other.org": {"cookie": "x=y"}, HOST: credential})

    assert CredentialSource(HOST, file).read() == credential


def test_a_token_is_preferred_to_a_cookie(tmp_path):
    file = put(tmp_path / "c.json", {HOST: {"cookie": "webauthn=abc"} | TOKEN})

    assert CredentialSource(HOST, file).read() == TOKEN


def test_the_host_may_be_written_with_capitals(tmp_path):
    file = put(tmp_path / "c.json", {HOST: TOKEN})

    assert CredentialSource(HOST.upper(), file).read() == TOKEN


def test_a_named_file_wins_over_systemds_and_that_over_derivas(tmp_path, home, monkeypatch):
    deriva = put(home / ".deriva" / "credential.json", {HOST: {"cookie": "a=deriva"}})
    assert CredentialSource(HOST).file == deriva

    systemd = put(tmp_path / "run" / "credential.json", {HOST: {"cookie": "a=systemd"}})
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(systemd.parent))
    assert CredentialSource(HOST).read() == {"cookie": "a=systemd"}

    named = put(tmp_path / "c.json", {HOST: {"cookie": "a=named"}})
    assert CredentialSource(HOST, named).read() == {"cookie": "a=named"}


def test_what_systemd_gives_and_cannot_be_read_is_named_and_nothing_else_is_taken(
    tmp_path, home, monkeypatch
):
    put(home / ".deriva" / "credential.json", {HOST: TOKEN})
    folder = put(tmp_path / "a file", "where a folder should be")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))

    assert f"{folder}/credential.json cannot be read" in complaint(CredentialSource(HOST)).why


def test_looking_for_a_credential_creates_no_file(home):
    complaint(CredentialSource(HOST))

    assert not home.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"a": {}, "a": {}}', "is not JSON"),
        ("", "is not JSON"),
        ("[]", "is not a JSON object with an entry for each host"),
        ({}, "has no entry for it"),
        ({HOST: None}, "has no entry for it"),
        ({HOST: {}}, "has no bearer-token or cookie to send"),
        ({HOST: {"bearer-token": ""}}, "has no bearer-token or cookie to send"),
        ({HOST: {"bearer-token": "s3cret\n"}}, "has no bearer-token or cookie to send"),
        ({HOST: {"cookie": "s3cret without a name"}}, "has no bearer-token or cookie to send"),
        ({HOST: {"username": "me", "password": "s3cret"}}, "has no bearer-token or cookie to send"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained_without_its_content(tmp_path, content, why):
    file = put(tmp_path / "c.json", content)

    error = complaint(CredentialSource(HOST, file))

    assert error.what == f"cannot log in to {HOST}"
    assert str(file) in error.why
    assert why in error.why
    assert str(file) in error.next
    assert "s3cret" not in str(error)


def test_who_has_no_credential_is_told_the_command():
    error = complaint(CredentialSource(HOST))

    assert error.why.startswith("there is no ")
    assert error.next == f"Run deriva-globus-auth-utils login --host {HOST}."


def test_a_file_that_may_not_be_read_is_explained(tmp_path):
    """A folder in its place fails for root too, for whom permissions do not count."""
    error = complaint(CredentialSource(HOST, tmp_path))

    assert error.why == f"{tmp_path} cannot be read (Is a directory)"
    assert f"chmod 600 {tmp_path}" in error.next


def test_a_new_credential_is_noticed_and_read_once(tmp_path):
    file = put(tmp_path / "c.json", {HOST: TOKEN})
    source = CredentialSource(HOST, file)
    assert source.changed()

    source.read()
    assert not source.changed()

    put(tmp_path / "new.json", {HOST: {"bearer-token": "another"}}).replace(file)
    assert source.changed()
    assert source.read() == {"bearer-token": "another"}
    assert not source.changed()


def test_a_credential_that_comes_back_is_noticed(tmp_path):
    source = CredentialSource(HOST, tmp_path / "c.json")
    complaint(source)
    assert not source.changed()

    put(tmp_path / "c.json", {HOST: TOKEN})

    assert source.changed()


def test_every_secret_that_was_ever_read_is_known(tmp_path):
    file = put(tmp_path / "c.json", {HOST: TOKEN})
    source = CredentialSource(HOST, file)
    assert source.secrets() == frozenset()

    source.read()
    put(file, {HOST: {"cookie": "webauthn=abc"}})
    source.read()

    assert source.secrets() == {TOKEN["bearer-token"], "webauthn=abc", "abc"}


def test_a_file_that_everyone_can_read_is_reported_and_used(tmp_path):
    file = put(tmp_path / "c.json", {HOST: TOKEN})
    source = CredentialSource(HOST, file)
    assert source.exposed() is None

    file.chmod(0o644)

    assert source.read() == TOKEN
    assert f"chmod 600 {file}" in source.exposed()


def test_a_file_that_is_not_there_exposes_nothing(tmp_path):
    assert CredentialSource(HOST, tmp_path / "none").exposed() is None


def run(home, program):
    """Run *program* in its own process: deriva looks for the home directory when imported."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"HOME": str(home)},
    ).stdout


def test_a_globus_login_is_read_and_renewed_by_deriva(home):
    """As `deriva-globus-auth-utils login` leaves it; it is asked again now and then."""
    scope = "https://auth.globus.org/scopes/1/deriva_all"
    login = {
        "access_token": "t0ken-of-globus",
        "refresh_token": "r",
        "expires_at_seconds": 2**40,
        "scope": scope,
        "resource_server": "1",
        "token_type": "Bearer",
    }
    put(home / ".deriva" / "config.json", {"oauth2_scopes": {HOST: {"deriva-all": scope}}})
    put(home / ".deriva" / "globus-credential.json", {f"1:({scope})": login})

    program = f"""if True:
        from deriva_watch.edges.server.credentials import CredentialSource, Origin
        source, renewed = CredentialSource({HOST!r}), CredentialSource({HOST!r}, renewal_s=0)
        for one in (source, source, renewed):  # deriva's first call creates a file
            credential = one.read()
        print(credential, source.changed(), renewed.changed())"""

    assert run(home, program) == "{'bearer-token': 't0ken-of-globus'} False True\n"
    assert not Path(home, ".bdbag").exists()


def test_without_a_globus_login_deriva_is_not_imported(home):
    put(home / ".deriva" / "credential.json", {HOST: TOKEN})

    program = f"""if True:
        import sys
        from deriva_watch.edges.server.credentials import CredentialSource, Origin
        CredentialSource({HOST!r}).read()
        print("deriva" in sys.modules)"""

    assert run(home, program) == "False\n"


@pytest.mark.parametrize(("token", "renews"), [("r3fresh", True), (None, False)])
def test_a_globus_login_renews_itself_with_a_refresh_token_alone(home, monkeypatch, token, renews):
    monkeypatch.setenv("HOME", str(home))
    put(home / ".deriva" / "credential.json", {})
    source = CredentialSource(HOST)
    assert (source.origin, source.renews_itself()) == (Origin.DERIVA, False)

    login = {"access_token": "t0ken", "refresh_token": token}
    put(home / ".deriva" / "globus-credential.json", {"1:(scope)": login})

    assert (source.origin, source.renews_itself()) == (Origin.GLOBUS, renews)
