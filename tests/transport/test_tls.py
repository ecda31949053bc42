"""Whose certificates are trusted: what `verify` may be, and what it then is."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from streamkit.errors import ConfigError
from streamkit.transport.tls import ssl_context


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


def test_by_default_the_systems_certificates_are_required() -> None:
    context = ssl_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_false_checks_nobody() -> None:
    context = ssl_context(verify=False)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_a_file_is_all_that_is_trusted(ca_file: Path) -> None:
    for path in (ca_file, str(ca_file)):
        context = ssl_context(path)
        assert (context.verify_mode, len(context.get_ca_certs())) == (ssl.CERT_REQUIRED, 1)


def test_a_folder_is_looked_into_when_somebody_is_checked(ca_file: Path) -> None:
    assert ssl_context(ca_file.parent).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_is_looked_at_on_request(name: str, ca_file: Path) -> None:
    env = {name: str(ca_file if name == "SSL_CERT_FILE" else ca_file.parent)}
    assert len(ssl_context("env", env).get_ca_certs()) == (1 if name == "SSL_CERT_FILE" else 0)


def test_the_environment_is_not_looked_at_otherwise(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ssl_context().get_ca_certs()
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    assert ssl_context().get_ca_certs() == before


def test_a_context_is_taken_as_it_is() -> None:
    mine = ssl.create_default_context()
    assert ssl_context(mine) is mine


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "No such file or directory"), (b"hello\n", "got a file without any"), (b"", "got a file without any")],
)
def test_a_file_that_holds_none_is_refused_by_name(content: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=told) as refused:
        ssl_context(path)
    assert "mine.pem" in str(refused.value)


@pytest.mark.parametrize("env", [{}, {"SSL_CERT_FILE": ""}])
def test_a_request_for_the_environment_where_nothing_is_set_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="SSL_CERT_FILE or SSL_CERT_DIR"):
        ssl_context("env", env)


@pytest.mark.parametrize("verify", [None, 1, b"ca.pem"])
def test_anything_else_is_refused_by_type(verify: Any) -> None:
    with pytest.raises(TypeError, match="expected verify as bool, a path or an"):
        ssl_context(verify)
