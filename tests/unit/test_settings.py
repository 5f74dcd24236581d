"""Settings: who wins, what is refused, and that no secret is ever shown."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from indexer.errors import BadInput
from indexer.settings import Moment, Settings, load_settings, parse_moment

CANARY = "c4n4ry-0f-7h3-m1n3"
URL = f"https://user:{CANARY}@rpc.example/v2/{CANARY}"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("INDEXER_")]:
        monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "indexer.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(path: Path | None, overrides: Mapping[str, Any] | None = None) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load_settings(path, overrides or {})
    return caught.value.problems


def url_of(settings: Settings, chain: str = "ethereum", at: int = 0) -> str:
    return settings.chains[chain].rpc[at].url.get_secret_value()


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings(None, {})
    assert settings.database is None
    assert settings.data_dir.name == "indexer"
    assert (settings.protocols, settings.start, settings.to, dict(settings.chains)) == ((), None, None, {})
    assert settings.prices.min_liquidity_usd == 10_000


def test_a_full_file_is_read(tmp_path: Path) -> None:
    text = f"""
    database = "postgresql://me:{CANARY}@db/ledger"
    data_dir = "{tmp_path}"
    protocols = ["uniswap_v3"]
    from = "7d"
    to = 2026-01-01
    [prices]
    min_liquidity_usd = 7
    [chains.ethereum]
    rpc = ["{URL}", {{ url = "http://two", headers = {{ Key = "{CANARY}" }}, requests_per_second = 5, timeout_s = 9 }}]
    [chains.mine]
    rpc = "http://127.0.0.1:8545"
    chain_id = 31337
    block_ms = 1000
    confirmations = 0
    multicall3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
    """
    settings = load_settings(written(tmp_path, text), {})
    assert settings.database is not None
    assert CANARY in settings.database.get_secret_value()
    assert (settings.data_dir, settings.protocols) == (tmp_path, ("uniswap_v3",))
    assert (settings.start, settings.to) == ("7d", "2026-01-01")
    assert settings.prices.min_liquidity_usd == 7
    first, second = settings.chains["ethereum"].rpc
    assert (first.url.get_secret_value(), first.requests_per_second, first.timeout_s) == (URL, None, 30)
    assert (second.headers["Key"].get_secret_value(), second.requests_per_second, second.timeout_s) == (CANARY, 5, 9)
    mine = settings.chains["mine"]
    assert (mine.chain_id, mine.block_ms, mine.confirmations) == (31337, 1000, 0)
    assert mine.multicall3 == bytes.fromhex("cA11bde05977b3631167028862bE2a173976CA11")


def test_the_archive_is_in_the_data_folder_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder, a URL, which is a secret, or none."""
    assert load_settings(None, {"data_dir": "/data"}).archive_place == "/data/archive"
    path = written(tmp_path, f'archive = "s3://{CANARY}:{CANARY}@bucket/path"\nkeep_flows = 6\n')
    settings = load_settings(path, {})
    assert (settings.archive_place, settings.keep_flows) == (f"s3://{CANARY}:{CANARY}@bucket/path", 6)
    assert CANARY not in repr(settings) + str(settings)
    monkeypatch.setenv("INDEXER_ARCHIVE", "none")
    assert load_settings(None, {}).archive_place is None
    monkeypatch.setenv("INDEXER_KEEP_FLOWS", "3")
    monkeypatch.setenv("INDEXER_ARCHIVE", "/srv/archive")
    assert (load_settings(None, {}).archive_place, load_settings(None, {}).keep_flows) == ("/srv/archive", 3)


def test_one_process_reads_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file, a variable or an argument; at least one, and not hundreds."""
    assert load_settings(None, {}).workers == 1
    path = written(tmp_path, "workers = 4\n")
    assert load_settings(path, {}).workers == 4
    monkeypatch.setenv("INDEXER_WORKERS", "3")
    assert (load_settings(path, {}).workers, load_settings(path, {"workers": 2}).workers) == (3, 2)
    monkeypatch.delenv("INDEXER_WORKERS")
    for wrong in (0, 65, "many"):
        assert problems(None, {"workers": wrong})[0].startswith("arguments: workers: ")


@pytest.mark.parametrize("place", [" ", "a\nb", "s3://bucket/\x1b[31m"])
def test_a_wrong_archive_is_refused_and_not_shown(place: str) -> None:
    (problem,) = problems(None, {"archive": place})
    assert problem.startswith("arguments: archive: must be a folder, an fsspec URL such as s3://bucket/path, or")
    assert "bucket/\x1b" not in problem


def test_flows_are_kept_where_nothing_can_make_them_again(tmp_path: Path) -> None:
    """keep_flows needs an archive, whichever layer says what; and a month or more."""
    path = written(tmp_path, 'archive = "none"\nkeep_flows = 12\n')
    (problem,) = problems(path)
    assert problem == (
        "indexer.toml: keep_flows: drops flows that the archive can make again, but there is no archive: leave it out, "
        "or give archive a folder or URL"
    )
    assert load_settings(path, {"archive": str(tmp_path)}).keep_flows == 12
    for wrong in (0, -1, 1201, "a year", 1.5):
        assert problems(None, {"keep_flows": wrong})[0].startswith("arguments: keep_flows: ")


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, '[chains.ethereum]\nrpc = "http://one"'), {})
    with pytest.raises(ValidationError):
        settings.to = 5
    with pytest.raises(ValidationError):
        settings.chains["ethereum"].chain_id = 5


def test_arguments_beat_variables_beat_the_file_beats_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "from = 1\nto = 1\nprotocols = ['a']\n[prices]\nmin_liquidity_usd = 1")
    monkeypatch.setenv("INDEXER_FROM", "2")
    monkeypatch.setenv("INDEXER_TO", "2")
    monkeypatch.setenv("INDEXER_PRICES__MIN_LIQUIDITY_USD", "2")
    settings = load_settings(path, {"start": "3", "to": None})
    assert (settings.start, settings.to) == ("3", "2")
    assert (settings.prices.min_liquidity_usd, settings.protocols) == (2, ("a",))


def test_layers_join_within_a_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "[chains.mine]\nchain_id = 7\nrpc = ['http://file']\n[chains.base]\nrpc = 'http://base'")
    monkeypatch.setenv("INDEXER_CHAINS__MINE__RPC", '["http://one", "http://two"]')
    settings = load_settings(path, {"chains": {"mine": {"confirmations": 3}}})
    assert [url_of(settings, "mine", at) for at in (0, 1)] == ["http://one", "http://two"]
    assert (settings.chains["mine"].chain_id, settings.chains["mine"].confirmations) == (7, 3)
    assert url_of(settings, "base") == "http://base"


def test_a_variable_may_hold_a_plain_url_or_names_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXER_CHAINS__ETHEREUM__RPC", "http://one/a,b")
    monkeypatch.setenv("INDEXER_PROTOCOLS", "uniswap_v3, sushiswap")
    monkeypatch.setenv("INDEXER_DATABASE", "")
    settings = load_settings(None, {})
    assert url_of(settings) == "http://one/a,b"
    assert settings.protocols == ("uniswap_v3", "sushiswap")
    assert settings.database is None


def test_variables_that_other_programs_set_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets INDEXER_PORT and INDEXER_SERVICE_HOST beside a service named indexer."""
    monkeypatch.setenv("INDEXER_PORT", "tcp://10.0.0.1:9090")
    monkeypatch.setenv("INDEXER_SERVICE_HOST", "10.0.0.1")
    assert load_settings(None, {}) == load_settings(None, {})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("databse = 'x'", "databse: is not a key known here: remove it or correct its spelling"),
        ("[chains.ethereum]\nrcp = []", "chains.ethereum.rcp: is not a key known here: remove it or correct its spelling"),
        ("[chains.ethereum]\nrpc = [{}]", "chains.ethereum.rpc[0].url: is missing: add it"),
        ("[chains.ethereum]\nrpc = [7]", "chains.ethereum.rpc[0]: must be a table"),
        ("[chains.ethereum]\nchain_id = true", "chains.ethereum.chain_id: must be a whole number"),
        ("[chains.ethereum]\nconfirmations = -1", "chains.ethereum.confirmations: must be greater than or equal to 0"),
        ("[chains.ethereum]\nblock_ms = 0", "chains.ethereum.block_ms: must be greater than or equal to 1"),
        ("[chains.'Eth 1']\nrpc = []", "chains.(a key with other characters than letters, digits, - and _): must match pattern '^[a-z0-9_]{1,40}$'"),
        ("chains = 5", "chains: must be a table"),
        ("prices = { min_liquidity_usd = 0.5 }", "prices.min_liquidity_usd: must be a whole number"),
        ("protocols = [7]", "protocols[0]: must be a text in quotes"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_own_sentence(text: str, line: str, tmp_path: Path) -> None:
    assert problems(written(tmp_path, text)) == [f"indexer.toml: {line}"]


@pytest.mark.parametrize("wrong", ["soon", "2026-13-01", "2026-01-01 12:00Z", "-5", "7w", ""])
def test_a_wrong_moment_is_told_when_settings_load(wrong: str, tmp_path: Path) -> None:
    (line,) = problems(written(tmp_path, f'from = "{wrong}"'))
    assert line.startswith("indexer.toml: from: is no moment: write a block number (18937547)")


def test_a_wrong_address_shows_the_right_form(tmp_path: Path) -> None:
    lower = "0xca11bde05977b3631167028862be2a173976ca11"
    (line,) = problems(written(tmp_path, f"[chains.mine]\nmulticall3 = '{lower}'"))
    assert line.endswith("write 0xcA11bde05977b3631167028862bE2a173976CA11")


NO_URL = "must be an http:// or https:// URL: copy it from your provider (it is a secret, so not shown)"


@pytest.mark.parametrize(
    "wrong", ["ws://a", "ftp://a", "a.example/key", "https://", "http://[", "http://a:b/", "http://a\tb", "http://a b"]
)
def test_a_wrong_url_is_told_by_chain_and_never_shown(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "indexer.toml"
    path.write_text("[chains.ethereum]\nrpc = [" + repr(wrong).replace("'", '"') + "]")
    assert problems(path) == [f"indexer.toml: chains.ethereum.rpc[0].url: {NO_URL}"]


def test_all_mistakes_are_told_at_once_with_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "colour = 'red'\nto = 'soon'\n[chains.base]\nrpc = ['ftp://a', 'http://b']\nchain_id = 0")
    monkeypatch.setenv("INDEXER_CHAINS__BASE__CONFIRMATIONS", "few")
    monkeypatch.setenv("INDEXER_CHAINS__ETHEREUM__RPC", "[oops")
    found = problems(path, {"prices": {"min_liquidity_usd": "much"}})
    assert sorted(line.split(": ")[0] + ": " + line.split(": ")[1] for line in found) == [
        "INDEXER_CHAINS__BASE__CONFIRMATIONS: must be a whole number",
        "INDEXER_CHAINS__ETHEREUM__RPC: is not valid JSON",
        "arguments: prices.min_liquidity_usd",
        "indexer.toml: chains.base.chain_id",
        "indexer.toml: chains.base.rpc[0].url",
        "indexer.toml: colour",
        "indexer.toml: to",
    ]


def test_a_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in problems(tmp_path / "none.toml")[0]
    assert problems(written(tmp_path, "a = "))[0].startswith("indexer.toml: is not valid TOML: ")


def test_a_secret_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXER_DATABASE", f"postgresql://me:{CANARY}@db/ledger")
    monkeypatch.setenv("INDEXER_CHAINS__BASE__RPC", f'[{{"url": "{URL}", "headers": {{"Key": "{CANARY}"}}}}]')
    settings = load_settings(written(tmp_path, f"[chains.ethereum]\nrpc = ['{URL}']"), {})
    shown = [
        str(settings),
        repr(settings),
        repr(settings.chains),
        settings.model_dump_json(),
        repr(settings.model_dump()),
    ]
    assert [text for text in shown if CANARY in text] == []
    assert url_of(settings) == url_of(settings, "base") == URL


HIDING_PLACES = [
    f"[chains.ethereum]\nrpc = ['ftp://{CANARY}']",
    f"[chains.ethereum]\nrpc = ['http://[{CANARY}']",
    f"[chains.ethereum]\nrpc = ['http://a:{CANARY}/']",
    f"[chains.ethereum]\nrpc = [['http://{CANARY}']]",
    f"[chains.ethereum]\nrpc = {{ 'https://{CANARY}' = 1 }}",
    f"[chains.ethereum]\nrpc = [{{ url = 'http://{CANARY}', key = '{CANARY}' }}]",
    f"[chains.ethereum]\nrpc = [{{ url = 'http://{CANARY}', headers = '{CANARY}' }}]",
    f"[chains.ethereum]\nrpc = [{{ url = 'http://a', headers = {{ Key = ['{CANARY}'] }} }}]",
    f"[chains.'https://{CANARY}']\nrpc = []",
    f"[chains]\nethereum = 'http://{CANARY}'",
    f"chains = 'http://{CANARY}'",
    f"database = ['{CANARY}']",
    f"from = '{CANARY}'",
    f"https://{CANARY} = 1",
    f"[chains.ethereum]\nrpc = ['http://{CANARY}'",
    f"database = '{CANARY}\udcff'",
]


@pytest.mark.parametrize("text", HIDING_PLACES)
def test_a_refusal_shows_no_secret(text: str, tmp_path: Path) -> None:
    """Neither the lines nor the traceback of a refusal hold what was written."""
    path = tmp_path / "indexer.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadInput) as caught:
        load_settings(path, {})
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.__context__)
    assert CANARY not in told


@pytest.mark.parametrize("value", [f"[{CANARY}", f"{{'{CANARY}'", f'["ftp://{CANARY}"]', f'{{"{CANARY} /": 1}}'])
def test_a_refused_variable_shows_no_secret(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEXER_CHAINS__ETHEREUM__RPC", value)
    with pytest.raises(BadInput) as caught:
        load_settings(None, {})
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.__context__)
    assert CANARY not in told
    assert "INDEXER_CHAINS__ETHEREUM__RPC" in told


@examples(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, 120), cut=st.integers(0, 20), junk=st.binary(max_size=6))
def test_any_change_of_octets_loads_or_is_refused(at: int, cut: int, junk: bytes, tmp_path: Path) -> None:
    octets = b"from = '7d'\nprotocols = ['a']\n[chains.base]\nrpc = ['http://a', { url = 'http://b' }]\nchain_id = 5\n[prices]\n"
    path = tmp_path / "indexer.toml"
    path.write_bytes(octets[:at] + junk + octets[at + cut :])
    try:
        load_settings(path, {})
    except BadInput as refused:
        assert all(line.startswith("indexer.toml: ") and line.isprintable() for line in refused.problems)


NOW = int(datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("18937547", Moment(block=18937547)),
        (18937547, Moment(block=18937547)),
        (0, Moment(block=0)),
        ("0", Moment(block=0)),
        ("2026-01-01", Moment(time=1767225600)),
        ("2026-01-01T12:00Z", Moment(time=1767268800)),
        ("2026-01-01T12:00:30Z", Moment(time=1767268830)),
        ("1970-01-01", Moment(time=0)),
        ("2024-02-29", Moment(time=1709164800)),
        ("7d", Moment(time=NOW - 7 * 86400)),
        ("24h", Moment(time=NOW - 86400)),
        ("0h", Moment(time=NOW)),
    ],
)
def test_a_moment_is_a_block_or_a_time(text: str | int, moment: Moment) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", " 5", "-5", "5.0", "1e3", "0x10", "yesterday", "7w", "d", "7D", "999999d", "2026-1-1", "2026-02-30",
     "2026-01-01T12:00", "2026-01-01T12:00+02:00", "2026-01-01T25:00Z", "1969-12-31", "\u0661\u0662", "9" * 19, -1],
)  # fmt: skip
def test_anything_else_is_no_moment(text: str | int) -> None:
    """The refusal shows examples to follow."""
    with pytest.raises(BadInput, match=r"18937547.*2026-01-01.*2026-01-01T12:00Z.*7d, 24h"):
        parse_moment(text, NOW)


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        moment = parse_moment(text, NOW)
    except BadInput as refused:
        assert refused.problems[0].isprintable()
    else:
        assert (moment.block is None) != (moment.time is None)
