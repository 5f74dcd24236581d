"""Settings: indexer.toml and the environment, checked whole; secrets are secret types and never printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from indexer.documents import AddressText, ChainName, Document, Mistake, Place, Whole, lines, mistakes, read_toml
from indexer.errors import BadInput

NO_ARCHIVE = "none"
_PREFIX = "INDEXER_"
_DAY = 86_400
_AGO = re.compile(r"([0-9]{1,6})([dh])")
_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z)?")
_NUMBER = re.compile(r"[0-9]{1,18}")
_EXAMPLES = (
    "write a block number (18937547), a UTC date (2026-01-01), a UTC time (2026-01-01T12:00Z) or a time ago (7d, 24h)"
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a chain's life: a block number, or UTC seconds since 1970; exactly one of them."""

    block: int | None = None
    time: int | None = None


def parse_moment(text: str | int, now: int) -> Moment:
    """Read '18937547', '2026-01-01', '2026-01-01T12:00Z', '7d' or '24h'; now: UTC seconds. Raises BadInput."""
    written = str(text)
    if _NUMBER.fullmatch(written):
        return Moment(block=int(written))
    ago = _AGO.fullmatch(written)
    time = now - int(ago[1]) * (_DAY if ago[2] == "d" else 3_600) if ago else _stamp(written)
    if time is None or time < 0:
        raise BadInput(f"{written[:40]!a} is no moment since 1970: {_EXAMPLES}.")
    return Moment(time=time)


def _stamp(written: str) -> int | None:
    if not _STAMP.fullmatch(written):
        return None
    try:
        return int(datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def _url(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text quotes the URL
        usable = False
    if not usable or not value.get_secret_value().isprintable() or " " in value.get_secret_value():
        raise ValueError(
            "must be an http:// or https:// URL: copy it from your provider (it is a secret, so not shown)"
        )
    return value


def _place(value: SecretStr) -> SecretStr:
    place = value.get_secret_value()
    if not place.strip() or not place.isprintable():
        raise ValueError('must be a folder, an fsspec URL such as s3://bucket/path, or "none" (it is not shown)')
    return value


def _written_moment(value: object) -> object:
    written = value.isoformat() if isinstance(value, date) else value
    if isinstance(written, str) and isinstance(value, datetime):
        written = written.replace("+00:00", "Z")
    if written is None:
        return None
    try:
        parse_moment("" if isinstance(written, bool) or not isinstance(written, str | int) else written, now=2**40)
    except BadInput:
        raise ValueError(f"is no moment: {_EXAMPLES}") from None
    return written


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _alone(value: object) -> object:
    return [value] if isinstance(value, str) else value


Url = Annotated[SecretStr, AfterValidator(_url)]
WrittenMoment = Annotated[str | int | None, BeforeValidator(_written_moment)]


class RpcSettings(Document):
    """An endpoint; a plain URL stands for a table with nothing else."""

    url: Url
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    requests_per_second: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    timeout_s: Annotated[Whole, Field(ge=1, le=3_600)] = 30

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return {"url": value} if isinstance(value, str) else value


class ChainSettings(Document):
    """A chain's endpoints and, for chains that do not come with the program, what they are like."""

    rpc: Annotated[tuple[RpcSettings, ...], BeforeValidator(_alone)] = ()
    chain_id: Annotated[Whole, Field(ge=1, lt=2**63)] | None = None
    block_ms: Annotated[Whole, Field(ge=1, le=86_400_000)] | None = None
    confirmations: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    multicall3: AddressText | None = None


class PriceSettings(Document):
    """Which pools may tell a price, and when a peg is no longer believed.

    min_liquidity_usd: dollars of quote tokens that are provably in the pool after the day's last swap: of concentrated
    liquidity what lies between the price and the end of its tick spacing, a small part of what a large pool holds.
    min_pool_age_days: days for which a pool is known to have stood. depeg_ppm: how far from its peg, in millionths,
    evidence of the day may put a token. feeds: whether price feeds are read along with what is wanted.
    """

    min_liquidity_usd: Annotated[Whole, Field(ge=0, lt=2**63)] = 10_000
    min_pool_age_days: Annotated[Whole, Field(ge=0, le=3_650)] = 1
    depeg_ppm: Annotated[Whole, Field(ge=1, le=1_000_000)] = 20_000
    feeds: bool = True


class Settings(BaseSettings):
    """All settings. database: None for the embedded Postgres; protocols: empty for all that have an endpoint.

    manifests, tokens: protocol files and token lists, or folders of them, read besides the packaged ones. archive: a
    folder or an fsspec URL, "none" for none, None for a folder in data_dir. keep_flows: whole months besides the
    present one whose flows stay; None: all. workers: processes of a run that read side by side.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=_PREFIX,
        env_prefix_target="all",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        enable_decoding=False,
    )

    database: SecretStr | None = None
    data_dir: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default_factory=lambda: user_data_path("indexer")
    )
    protocols: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    manifests: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = ()
    tokens: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = ()
    start: WrittenMoment = Field(default=None, alias="from")
    to: WrittenMoment = None
    chains: Mapping[ChainName, ChainSettings] = Field(default_factory=dict)
    prices: PriceSettings = PriceSettings()
    archive: Annotated[SecretStr, AfterValidator(_place)] | None = None
    keep_flows: Annotated[Whole, Field(ge=1, le=1_200)] | None = None
    workers: Annotated[Whole, Field(ge=1, le=64)] = 1

    @property
    def archive_place(self) -> str | None:
        """The archive's path or URL, which may hold secrets; None if there is no archive."""
        if self.archive is None:
            return str(self.data_dir / "archive")
        place = self.archive.get_secret_value()
        return None if place == NO_ARCHIVE else place

    @field_validator("keep_flows")
    @classmethod
    def _can_be_made_again(cls, months: int | None, given: ValidationInfo) -> int | None:
        archive = given.data.get("archive")
        if months is not None and archive is not None and archive.get_secret_value() == NO_ARCHIVE:
            raise ValueError(
                "drops flows that the archive can make again, but there is no archive: leave it out, or give archive a "
                "folder or URL"
            )
        return months

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing but what load_settings gives."""
        return (init_settings,)


def load_settings(path: Path | None, overrides: Mapping[str, Any], *, environment: bool = True) -> Settings:
    """Settings from overrides, then INDEXER_ variables (if wanted), then the file (None: no file), then defaults.

    overrides: nested as in the file; None values are left out. Raises BadInput with every mistake, one a line:
    'file: key: sentence', or the variable's name where the value came from the environment.
    """
    file = {} if path is None else read_toml(path)
    given = {"from" if key == "start" else key: value for key, value in overrides.items() if value is not None}
    problems: list[str] = []
    variables = dict(_decoded(EnvSettingsSource(Settings)(), (), problems)) if environment else {}
    layers = {"arguments": given, "environment": variables, path.name if path else "settings": file}
    settings = _settings(_merged(_merged(file, variables), given), layers, problems)
    if problems or settings is None:
        raise BadInput(problems)
    return settings


def _settings(values: dict[str, Any], layers: Mapping[str, Mapping[str, Any]], problems: list[str]) -> Settings | None:
    try:
        return Settings(**values)
    except ValidationError as fault:
        problems += [line for mistake in mistakes(fault) for line in _blamed(mistake, layers)]
        return None


def _decoded(values: Mapping[str, Any], under: Place, problems: list[str]) -> Iterator[tuple[str, Any]]:
    """The variables' values, those that look like JSON lists and objects read as such."""
    for key, value in values.items():
        place = (*under, key)
        if isinstance(value, Mapping):
            yield key, dict(_decoded(value, place, problems))
        elif isinstance(value, str) and value[:1] in ("[", "{"):
            try:
                yield key, json.loads(value)
            except (ValueError, RecursionError):
                problems.append(f"{_variable(place)}: is not valid JSON: correct its brackets and quotes")
        else:
            yield key, value


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(below, value) if both and below is not None else value
    return merged


def _blamed(mistake: Mistake, layers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The line that names the layer which gave the value, the highest that knows most of its place."""
    place, sentence = mistake
    layer = max(layers, key=lambda name: _depth(layers[name], place))
    if layer == "environment":
        return [f"{_variable(place)}: {sentence}"]
    return lines(layer, [mistake])


def _depth(value: Any, place: Place) -> int:
    for depth, part in enumerate(place):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(place)


def _variable(place: Place) -> str:
    words = [part.upper() for part in place if isinstance(part, str) and part != "[key]"]
    return _PREFIX + "__".join(word for word in words if word.isidentifier())
