"""Where an endpoint is, and which parts of that are secret."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pydantic import SecretStr
from yarl import URL

from indexer.errors import BadInput

SECRET_CHARS = 6  # shorter path segments (`v3`, `rpc`) are names, not keys
DEPTH = 8  # of a provider's error data; Infura's has 3


class NodeAddress:
    """URL and headers of an endpoint; only `name`, scheme://host[:port], and `fingerprint` may be shown.

    fingerprint: first 16 hex digits of the URL's sha256. Raises BadInput for a URL that is not http(s).
    """

    def __init__(self, url: SecretStr, headers: Mapping[str, SecretStr] | None = None) -> None:
        self._url, self._headers = url, dict(headers or {})
        self.name = _name_of(url, self._headers)
        self.fingerprint = hashlib.sha256(url.get_secret_value().encode()).hexdigest()[:16]
        self._secrets = _secrets(url, self._headers)

    def __repr__(self) -> str:
        return f"NodeAddress({self.name})"

    def url(self) -> URL:
        """The whole URL, to be handed to the HTTP client only."""
        return URL(self._url.get_secret_value())

    def headers(self) -> dict[str, str]:
        """The secret headers in the clear, to be handed to the HTTP client only."""
        return {name: value.get_secret_value() for name, value in self._headers.items()}

    def scrub(self, value: Any, depth: int = DEPTH) -> Any:
        """The same JSON value with every secret in its texts replaced by ***, and what is nested too deeply by null."""
        match value:
            case str():
                return self._scrub(value)
            case Mapping() | list() if depth == 0:
                return None
            case Mapping():
                return {self._scrub(str(key)): self.scrub(inner, depth - 1) for key, inner in value.items()}
            case list():
                return [self.scrub(inner, depth - 1) for inner in value]
        return value

    def _scrub(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _name_of(url: SecretStr, headers: Mapping[str, SecretStr]) -> str:
    try:
        parsed = URL(url.get_secret_value())
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadInput("An endpoint's URL is not http://host... or https://host...; correct it in the settings.")
    if parsed.user is not None and "authorization" in {name.lower() for name in headers}:
        raise BadInput(f"{parsed.host}: give either user:password in the URL or an Authorization header, not both.")
    return f"{parsed.scheme}://{parsed.host}" + ("" if parsed.is_default_port() else f":{parsed.port}")


def _secrets(url: SecretStr, headers: Mapping[str, SecretStr]) -> list[str]:
    """Every part of the URL and headers that may be a key, the longest first."""
    text = url.get_secret_value()
    parsed = URL(text)
    parts = [text, str(parsed), parsed.raw_path_qs, parsed.raw_query_string, *parsed.raw_parts, *parsed.query.values()]
    parts += [part for part in (parsed.user, parsed.password, parsed.raw_user, parsed.raw_password) if part]
    for value in headers.values():
        parts += [value.get_secret_value(), *value.get_secret_value().split()]
    every = {part for raw in parts for part in (raw, unquote(raw)) if len(part) >= SECRET_CHARS}
    return sorted(every, key=len, reverse=True)
