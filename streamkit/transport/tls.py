"""Which certificates are trusted: `verify`, as httpx has it, as an SSL context."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import httpx2

from streamkit.errors import ConfigError

__all__ = ["ENVIRONMENT", "Verify", "ssl_context"]

Verify: TypeAlias = bool | str | os.PathLike[str] | ssl.SSLContext
"""True: the system's certificates. A path: those of this file or folder (PEM), and no others. False: nobody is checked.
"env": the file or folder that `SSL_CERT_FILE` or `SSL_CERT_DIR` names. An SSL context: as it is.
"""

ENVIRONMENT: Final = "env"
VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def ssl_context(verify: Verify = True, env: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """An SSL context for HTTP/1.1 connections to servers. It takes tens of milliseconds, as certificates are parsed.

        >>> import ssl
        >>> from streamkit.transport.tls import ssl_context
        >>> ssl_context(verify=True).verify_mode == ssl.CERT_REQUIRED
        True

    The environment is only consulted for `verify="env"` (a file of that name is "./env"). Raises ConfigError for a file
    that cannot be read or holds no certificate, and for "env" if no variable is set; TypeError for any other type.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        context = httpx2.create_ssl_context(verify=verify, trust_env=False)
    elif isinstance(verify, str | os.PathLike):
        context = _trusting(_named(env) if verify == ENVIRONMENT else os.fspath(verify))
    else:
        raise TypeError(f"expected verify as bool, a path or an ssl.SSLContext, got {type(verify).__name__}")
    context.set_alpn_protocols(["http/1.1"])
    return context


def _named(env: Mapping[str, str]) -> str:
    found = next((env[name] for name in VARIABLES if env.get(name)), None)
    if found is None:
        raise ConfigError(f"expected {' or '.join(VARIABLES)} in the environment, as 'env' was asked for; set one")
    return found


def _trusting(path: str) -> ssl.SSLContext:
    """The certificates of this file or folder, and no others."""
    folder = Path(path).is_dir()
    try:
        return ssl.create_default_context(cafile=None if folder else path, capath=path if folder else None)
    except ssl.SSLError:
        raise ConfigError(f"expected certificates (PEM) in {path!r}, got a file without any that can be read") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"expected a file or folder of certificates (PEM), got {path!r}: {why}") from None
