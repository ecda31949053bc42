"""Why there is no connection, in words, whoever says so."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from streamkit.transport.refusals import reason, reason_behind


def certificate(code: int, message: str = "of secret.test") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "secret.test")
    error.verify_code, error.verify_message = code, message
    return error


def handshake(what: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "secret.test")
    error.reason = what
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "secret.test"), "connection refused: nobody listens there"),
        (ConnectionResetError(errno.ECONNRESET, "secret.test"), "connection reset by peer"),
        (OSError(errno.EHOSTUNREACH, "secret.test"), "no route to host"),
        (OSError("secret.test"), "OSError"),
        (
            OSError(f"Multiple exceptions: [Errno 113] to secret.test, [Errno {errno.ECONNREFUSED}] to 10.0.0.1"),
            "connection refused: nobody listens there",
        ),
        (socket.gaierror(socket.EAI_NONAME, "secret.test"), "the host name was not resolved: there is no such name"),
        (socket.gaierror(socket.EAI_AGAIN, "secret.test"), "the host name was not resolved: no name server answered"),
        (certificate(10), "the server's certificate was not accepted: it has expired"),
        (certificate(18), "the server's certificate was not accepted: it is self-signed"),
        (certificate(62), "the server's certificate was not accepted: it is for another host name"),
        (certificate(68, "CA key too weak"), "the server's certificate was not accepted: CA key too weak"),
        (certificate(99, ""), "the server's certificate was not accepted: X509_V_ERR 99"),
        (handshake("WRONG_VERSION_NUMBER"), "what answers on this port does not speak TLS; http:// may be meant"),
        (handshake("TLSV1_ALERT_PROTOCOL_VERSION"), "the server speaks no version of TLS that this client does"),
        (handshake("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "the server wants a certificate of the client"),
        (handshake("NO_SHARED_CIPHER"), "the handshake failed (NO_SHARED_CIPHER)"),
    ],
)
def test_each_has_its_words_and_names_nobody(error: OSError, words: str) -> None:
    assert reason(error) == words


def test_of_another_clients_error_its_nearest_cause_that_the_system_named_counts() -> None:
    error, middle = RuntimeError("http://secret.test"), OSError("all attempts failed")
    error.__cause__, middle.__context__ = middle, OSError(errno.ECONNREFUSED, "secret.test")
    assert reason_behind(error) == "connection refused: nobody listens there"


def test_an_error_without_such_a_cause_says_nothing_even_if_its_causes_run_in_a_circle() -> None:
    error, cause = RuntimeError("http://secret.test"), KeyError("secret.test")
    error.__cause__, cause.__context__ = cause, error
    assert reason_behind(error) is None
