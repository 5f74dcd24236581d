"""What an endpoint's error text means: a table of provider texts and one pure function over it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from indexer.errors import EndpointBusy, EndpointFailed, EndpointUnusable, IndexerError, TooMuch

SHOWN_CHARS = 300  # of a provider's text in our messages
READ_CHARS = 4000  # of a provider's text at all


class HistoryMissing(EndpointUnusable):
    """This node no longer holds, or does not yet hold, the blocks or the state asked for; another may.

    may_be_behind: the same node may have it later (its text does not tell pruned from not yet seen).
    """

    def __init__(self, message: str, *, may_be_behind: bool = False) -> None:
        super().__init__(message)
        self.may_be_behind = may_be_behind


class TagUnsupported(EndpointUnusable):
    """This node knows no such block tag (`finalized`, `safe`)."""


class Reverted(IndexerError):
    """An eth_call that the contract itself refused: an answer, not a fault."""


class RangeTooWide(TooMuch):
    """The block range itself is too wide, however few logs it holds."""


class TooRich(TooMuch):
    """Too many logs; up to `free_blocks` the endpoint says it answers however many there are."""

    free_blocks: int = 0


class Meaning(Enum):
    """What a provider's text asks us to do."""

    BILLING = auto()
    RATE = auto()
    REVERTED = auto()
    BEHIND = auto()
    HISTORY = auto()
    TAG = auto()
    ADDRESSES = auto()
    RANGE = auto()
    RESULTS = auto()
    HEAVY = auto()
    DISABLED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Text:
    """One row: a pattern whose groups blocks, logs, addresses or free hold a limit; codes match where no text does."""

    meaning: Meaning
    provider: str
    pattern: re.Pattern[str]
    codes: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()  # empty: any


def _row(meaning: Meaning, provider: str, pattern: str, *codes: int, methods: tuple[str, ...] = ()) -> Text:
    return Text(meaning, provider, re.compile(pattern, re.IGNORECASE), codes, methods)


_N = r"\d[\d,.]*k?"
_LOGS = ("eth_getLogs",)
_CALLS = ("eth_call", "eth_estimateGas")

# The first row that matches wins: money before rate, rate before history, history before range, and the vague texts
# last ("limit exceeded" is a part of many others). Sources: the error catalogues of ponder-sh/ponder
# (getLogsRetryHelper), erpc/erpc (error_normalizer), subsquid/squid-sdk (ds-rpc), joshstevens19/rindexer (fetch_logs).
TEXTS: tuple[Text, ...] = (
    _row(Meaning.BILLING, "many", r"reached the free tier|monthly capacity limit|limit for your current plan"),
    _row(Meaning.BILLING, "many", r"payment required|subscription (has )?expired|account (is )?(suspended|disabled)"),
    _row(Meaning.RATE, "many", r"too many requests|rate.?limit|request rate|requests? limited to|under too much load"),
    _row(Meaning.RATE, "many", r"(request limit|requests per (second|minute)|compute units per second)"),
    _row(Meaning.RATE, "many", r"exceeded the quota|reached the quota|request count exceeded|upgrade your tier"),
    _row(Meaning.RATE, "QuickNode", r"(?!)", -32007, -32009, 429),
    _row(Meaning.REVERTED, "any node", r"revert|invalid opcode|out of gas|gas required exceeds", 3, methods=_CALLS),
    _row(Meaning.REVERTED, "any node", r"invalid jump|stack (under|over)flow|vm execution error", methods=_CALLS),
    _row(Meaning.BEHIND, "Avalanche", r"after last accepted block"),
    _row(Meaning.BEHIND, "generic", r"beyond current head|is ahead of|block height is \d+ but requested"),
    _row(Meaning.BEHIND, "anvil", r"BlockOutOfRange|block ?out ?of ?range"),
    _row(Meaning.TAG, "many", r"(finalized|safe) (block )?not found"),
    _row(Meaning.TAG, "many", r"not a supported commitment|malformed block ?number|is not a supported"),
    _row(Meaning.HISTORY, "any node after EIP-4444", r"history.{0,20}pruned|pruned history|already pruned", 4444),
    _row(Meaning.HISTORY, "geth", r"missing trie node|historical state|state .{0,80}not available"),
    _row(Meaning.HISTORY, "reth, erigon", r"state at block .{0,40}pruned|due to pruning|maximum proof window"),
    _row(Meaning.HISTORY, "many", r"archive (node|request|data|access)|header not found"),
    _row(Meaning.ADDRESSES, "many", r"specify less number of address"),
    _row(
        Meaning.ADDRESSES,
        "Alchemy, dRPC, geth",
        rf"max (allowed )?addresses( or topics)?( per search position)?\W*(?P<addresses>{_N})?",
    ),
    _row(Meaning.ADDRESSES, "Infura", rf"contains \S+ filters\W+the current limit is (?P<addresses>{_N})"),
    _row(Meaning.ADDRESSES, "many", r"too many addresses|number of addresses"),
    _row(
        Meaning.RESULTS,
        "Alchemy",
        rf"(up to an? (?P<free>{_N}) block range and no limit .{{0,80}})?cap of (?P<logs>{_N}) logs",
    ),
    _row(Meaning.RANGE, "Alchemy, Aurora", rf"up to an? (?P<blocks>{_N}) block range"),
    _row(Meaning.RESULTS, "Infura, Polygon zkEVM", rf"returned more than (?P<logs>{_N}) results"),
    _row(Meaning.RESULTS, "reth, Ankr, LlamaRPC", rf"exceeds max results:? (?P<logs>{_N})"),
    _row(Meaning.RESULTS, "Arbitrum", rf"matched by query exceeds limit of (?P<logs>{_N})"),
    _row(Meaning.RESULTS, "Ankr", rf"more than (?P<logs>{_N}) logs"),
    _row(Meaning.RESULTS, "zkSync, Tenderly, Thirdweb", r"try with this block range|this block range should work"),
    _row(Meaning.RESULTS, "generic", r"retry with the range"),
    _row(Meaning.RANGE, "Infura", rf"range \d+ exceeds limit of (?P<blocks>{_N})"),
    _row(
        Meaning.RANGE,
        "QuickNode, 1RPC, BlockPI, Blast",
        rf"limited to (a )?(?P<blocks>{_N})( blocks?)? range",
        -32614,
    ),
    _row(Meaning.RANGE, "Ankr on TAC", rf"blocks distance: (?P<blocks>{_N})"),
    _row(
        Meaning.RANGE,
        "PublicNode, reth, Hyperliquid, Tron, BNB",
        rf"exceeds? max(imum)? block range:? (?P<blocks>{_N})",
    ),
    _row(Meaning.RANGE, "Cloudflare", rf"max range: (?P<blocks>{_N})"),
    _row(Meaning.RANGE, "Coinbase", rf"query to at most (?P<blocks>{_N}) blocks"),
    _row(Meaning.RANGE, "Avalanche", rf"too many blocks .{{0,60}}maximum is set to (?P<blocks>{_N})"),
    _row(Meaning.RANGE, "merkle.io", rf"range is too large, max is (?P<blocks>{_N}) blocks"),
    _row(Meaning.RANGE, "Thirdweb", rf"allowed number of requested blocks is (?P<blocks>{_N})"),
    _row(Meaning.RANGE, "dRPC", rf"ranges over (?P<blocks>{_N}) blocks are not supported"),
    _row(Meaning.RANGE, "Blast", rf"range allowed for your plan \(\d+ > (?P<blocks>{_N})\)"),
    _row(Meaning.RANGE, "Swell", rf"block range greater than (?P<blocks>{_N}) max"),
    _row(Meaning.RANGE, "Somnia", rf"block range exceeds (?P<blocks>{_N})"),
    _row(Meaning.RANGE, "Harmony", rf"must be smaller than size (?P<blocks>{_N})"),
    _row(Meaning.RANGE, "Moonbeam", rf"range is too wide \(maximum (?P<blocks>{_N})\)"),
    _row(Meaning.RANGE, "Ankr, Chainstack, Base, Monad", r"range (is )?too (wide|large|big)|range limit exceeded"),
    _row(Meaning.RANGE, "Altitude, eRPC", r"range threshold exceeded|exceeded max allowed", -32012),
    _row(Meaning.HEAVY, "reth, Optimism, 1RPC", r"response (is )?too (big|large)|exceeded max limit", -32008),
    _row(Meaning.HEAVY, "Alchemy, 1RPC", r"response size|reduce query block range|entity too large"),
    _row(Meaning.HEAVY, "Infura, geth", r"query duration|time(d)? ?out|deadline exceeded|took too long"),
    _row(Meaning.FAILED, "dRPC", r"ChainException|invalid block range"),
    _row(Meaning.FAILED, "Base", r"no backend is currently healthy"),
    _row(Meaning.DISABLED, "BNB dataseed", r"^\W*limit exceeded\W*$", methods=_LOGS),
    _row(Meaning.RATE, "generic", r"limit exceeded"),
    _row(Meaning.BILLING, "many", r"/billing"),
    _row(Meaning.DISABLED, "QuickNode and any node", r"method .{0,60}not (found|supported|allowed|available)", -32601),
    _row(Meaning.DISABLED, "QuickNode", r"(does not exist/is not available|method is disabled)", -32612, -32613),
    _row(Meaning.HEAVY, "Infura", r"(?!)", -32005, methods=_LOGS),
    _row(Meaning.RATE, "generic", r"(?!)", -32005),
)


def translate(method: str, error: Mapping[str, object], status: int) -> IndexerError:
    """The typed error for a JSON-RPC error object (code, message, data) that came with an HTTP status."""
    code, said = _code(error), _said(error)
    text = _find(method, code, said) or _STATUS.get(status)
    if text is None:
        return EndpointFailed(_sentence(method, code, said, "try again, or use another endpoint"))
    return _build(text, method, error)


def translate_http(method: str, status: int, body: str) -> IndexerError:
    """The typed error for an HTTP answer that holds no JSON-RPC error: by status, below 500 also by its text."""
    error = {"message": body, "code": f"HTTP {status}"}
    page = body.lstrip().startswith("<")  # a web page: only words about the rate are worth believing
    found = _find(method, None, body[:READ_CHARS]) if status < 500 else None
    if found is not None and (found.meaning is Meaning.RATE or (400 <= status != 403 and not page)):
        return _build(found, method, error)
    text = _STATUS.get(status)
    if text is not None:
        return _build(text, method, error)
    return EndpointFailed(_sentence(method, f"HTTP {status}", _said(error), "try again, or use another endpoint"))


def _find(method: str, code: object, said: str) -> Text | None:
    fitting = [row for row in TEXTS if not row.methods or method in row.methods]
    by_text = next((row for row in fitting if row.pattern.search(said)), None)
    return by_text or next((row for row in fitting if code in row.codes), None)


_STATUS: Mapping[int, Text] = {
    401: _row(Meaning.BILLING, "HTTP 401", ""),
    402: _row(Meaning.BILLING, "HTTP 402", ""),
    403: _row(Meaning.BILLING, "HTTP 403", ""),
    413: _row(Meaning.HEAVY, "HTTP 413", ""),
    429: _row(Meaning.RATE, "HTTP 429", ""),
}


_PLAIN: Mapping[Meaning, tuple[type[IndexerError], str]] = {
    Meaning.BILLING: (EndpointUnusable, "check its key and plan, or add another endpoint"),
    Meaning.DISABLED: (EndpointUnusable, "it does not serve this method: add another endpoint"),
    Meaning.REVERTED: (Reverted, "the contract refuses this call"),
    Meaning.TAG: (TagUnsupported, "it knows no such block tag"),
    Meaning.BEHIND: (EndpointFailed, "the node is behind: try again, or use another endpoint"),
    Meaning.FAILED: (EndpointFailed, "try again, or use another endpoint"),
}


def _build(text: Text, method: str, error: Mapping[str, object]) -> IndexerError:
    code, said = _code(error), _said(error)
    if text.meaning in _PLAIN:
        kind, advice = _PLAIN[text.meaning]
        return kind(_sentence(method, code, said, advice))
    if text.meaning is Meaning.RATE:
        return EndpointBusy(_sentence(method, code, said, "ask more slowly"), _back_off(error))
    if text.meaning is Meaning.HISTORY:
        advice = "it holds no such old block or state: add an archive endpoint"
        return HistoryMissing(_sentence(method, code, said, advice), may_be_behind="not found" in said.lower())
    return _too_much(text, method, error)


def _too_much(text: Text, method: str, error: Mapping[str, object]) -> IndexerError:
    code, said = _code(error), _said(error)
    if method not in ("eth_getLogs", "eth_call"):
        return EndpointFailed(_sentence(method, code, said, "the answer is too heavy for it: use another endpoint"))
    found = text.pattern.search(said)
    limits = {name: _number(value) for name, value in (found.groupdict() if found else {}).items()}
    free = limits.get("free")
    kind = RangeTooWide if text.meaning is Meaning.RANGE else TooMuch if free is None else TooRich
    refusal = kind(
        _sentence(method, code, said, "ask for less"),
        suggested=_suggested(said, error.get("data")),
        max_blocks=limits.get("blocks"),
        max_logs=limits.get("logs"),
        max_addresses=limits.get("addresses"),
        too_many_addresses=text.meaning is Meaning.ADDRESSES,
    )
    if isinstance(refusal, TooRich) and free is not None:
        refusal.free_blocks = free
    return refusal


def _number(text: str | None) -> int | None:
    digits = re.sub(r"\D", "", text or "")
    if not digits or len(digits) > 18:
        return None
    return int(digits) * (1000 if text is not None and text[-1] in "kK" else 1)


_HINT = re.compile(
    r"range should work:?\s*\[\s*(\w+)\s*,\s*(\w+)|this block range:?\s*\[\s*(\w+)\s*,\s*(\w+)"
    r"|retry with the range\s*(\w+)\s*-\s*(\w+)",
    re.IGNORECASE,
)


def _suggested(said: str, data: object) -> tuple[int, int] | None:
    """The inclusive range offered in the text or, by Infura, in data; some providers swap its ends."""
    match = _HINT.search(said)
    pair = [end for end in match.groups() if end is not None] if match else []
    if not pair and isinstance(data, Mapping):
        pair = [str(data.get("from")), str(data.get("to"))]
    try:
        first, last = sorted(int(end, 16 if end[:2].lower() == "0x" else 10) for end in pair)
    except ValueError:
        return None
    return (first, last) if 0 <= first <= last < 2**63 else None


def _back_off(error: Mapping[str, object]) -> int | None:
    """Seconds that Infura names in data.rate.backoff_seconds."""
    data = error.get("data")
    rate = data.get("rate") if isinstance(data, Mapping) else None
    found = rate.get("backoff_seconds") if isinstance(rate, Mapping) else None
    return found if isinstance(found, int) and found >= 0 else None


def _code(error: Mapping[str, object]) -> int | str | None:
    """The code as a number (some send it as text), or as the `HTTP nnn` of translate_http."""
    code = str(error.get("code"))[:12]
    return int(code) if re.fullmatch(r"-?[0-9]{1,9}", code) else code if re.fullmatch(r"HTTP [0-9]+", code) else None


def _said(error: Mapping[str, object]) -> str:
    """Message and data as one line: Blast and Chainstack put what matters in data."""
    message, data = error.get("message", ""), error.get("data")
    parts = [message if isinstance(message, str) else repr(message)]
    if isinstance(data, str | Mapping | list):
        parts.append(data if isinstance(data, str) else json.dumps(data, default=str))
    whole = " ".join(part[:READ_CHARS] for part in parts)
    return " ".join("".join(c if c.isprintable() else " " for c in whole).split())


def _sentence(method: str, code: object, said: str, advice: str) -> str:
    shown = said if len(said) <= SHOWN_CHARS else f"{said[:SHOWN_CHARS]}..."
    return f"{method} was refused ({code}: {shown or 'no text'}); {advice}."
