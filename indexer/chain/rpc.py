"""One JSON-RPC endpoint over HTTP: kept-alive connections, typed errors, and no secret in any text."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
from pydantic import SecretStr

from indexer.chain import meter
from indexer.chain.address import NodeAddress
from indexer.chain.refusals import READ_CHARS, translate, translate_http
from indexer.errors import EndpointBusy, EndpointFailed, EndpointLied, IndexerError, TooMuch

MAX_QUANTITY = 2**63 - 1  # what Postgres's bigint and NumPy's int64 hold
BUFFER = 1 << 18  # octets read ahead: at aiohttp's 64 KiB a large answer stops and goes all the time
LARGE = 1 << 16  # octets of an answer that is no error, nor worth a reading only to find where it begins
UNBATCHED = (400, 405, 413, 415, 501)  # HTTP statuses without a JSON body that a batch may meet, a single call not

# These write whole URLs, and so API keys, at DEBUG or INFO.
for _name in ("web3", "aiohttp.access", "aiohttp.client"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


class BatchRefused(IndexerError):
    """The endpoint will not take this JSON-RPC batch as a whole: send fewer items at once, or one by one.

    max_items: the limit it named.
    """

    def __init__(self, message: str, max_items: int | None = None) -> None:
        super().__init__(message)
        self.max_items = max_items


@dataclass(slots=True)
class Signs:
    """What is expected and seen of requests under way; all times are nanoseconds.

    silence: after so long without an octet one is given up; late: after so long it is worth asking somebody else too.
    sent_at: when the last of them was sent, None before; heard: whether an octet of an answer to it came.
    """

    silence: int
    late: int = 0
    sent_at: int | None = None
    heard: bool = False

    def due(self, now: int) -> int:
        """Until it is late; none if it is, and all of it while it waits to be sent or is answered."""
        return self.late if self.sent_at is None or self.heard else max(0, self.sent_at + self.late - now)


class _Envelope(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: Any = None


class _Reply(msgspec.Struct):
    status: int
    retry_after: int | None
    body: bytearray


class _Request(msgspec.Struct):
    method: str
    params: Sequence[object]
    id: int
    jsonrpc: str = "2.0"


_ONE = msgspec.json.Decoder(_Envelope)
_MANY = msgspec.json.Decoder(list[_Envelope] | _Envelope)


class Endpoint:
    """A node's URL, with its connections and counters.

    timeout_s: seconds for a whole answer; max_bytes: most octets of an answer, decompressed. Shown only as
    scheme://host[:port]. Raises BadInput for a URL that is not http(s).
    """

    def __init__(
        self,
        url: SecretStr,
        *,
        timeout_s: int = 60,
        max_bytes: int = 64_000_000,
        headers: Mapping[str, SecretStr] | None = None,
    ) -> None:
        self._ids = itertools.count(1)  # some servers echo id 0 as null
        self._address = NodeAddress(url, headers)
        self.name, self.fingerprint = self._address.name, self._address.fingerprint
        self.requests: Counter[str] = Counter()
        self.http, self.bytes_in = 0, 0
        self._timeout_s, self._max_bytes = timeout_s, max_bytes
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"

    __str__ = __repr__

    async def call(self, method: str, params: Sequence[object], signs: Signs | None = None) -> bytes:
        """The JSON text of `result`; null is b"null". signs: to be kept, and how long silence is borne.

        Raises what refusals.translate says, EndpointBusy, EndpointUnusable, EndpointFailed, TooMuch (eth_getLogs).
        """
        request = self._request(method, params)
        reply = await self._post(msgspec.json.encode(request), [method], signs)
        if (plain := _plain(request, reply)) is not None:
            return plain
        try:
            envelope = _ONE.decode(reply.body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise self._unreadable(method, reply) from None
        answer = self._read(request, envelope, reply)
        if isinstance(answer, IndexerError):
            raise answer
        return answer

    async def batch(
        self, requests: Sequence[tuple[str, Sequence[object]]], signs: Signs | None = None
    ) -> list[bytes | IndexerError]:
        """One answer or error per request, in the order asked, from one HTTP request.

        Raises BatchRefused where the endpoint refuses the batch as such, and like `call` where nothing of it came.
        """
        formed = [self._request(method, params) for method, params in requests]
        reply = await self._post(msgspec.json.encode(formed), [method for method, _ in requests], signs)
        try:
            envelopes = _MANY.decode(reply.body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            fault = self._unreadable("batch", reply)
            raise (BatchRefused(str(fault)) if reply.status in UNBATCHED else fault) from None
        if not isinstance(envelopes, list):
            raise self._whole_batch(envelopes, reply)
        return self._match(formed, envelopes, reply)

    async def close(self) -> None:
        """Close the connections of the running event loop; a later call opens new ones."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _request(self, method: str, params: Sequence[object]) -> _Request:
        return _Request(method, params, next(self._ids))

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._sessions[loop] = aiohttp.ClientSession(
                headers=self._address.headers(),
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=BUFFER,
            )
        return self._sessions[loop]

    async def _post(self, body: bytes, methods: Sequence[str], signs: Signs | None) -> _Reply:
        self.requests.update(methods)
        self.http += 1
        meter.count(requests=len(methods))
        # Not aiohttp's sock_read: it may run on in an idle connection, and fails the next request there.
        silence = asyncio.timeout(None if signs is None else signs.silence / 1_000_000_000)
        # Raised outside of `except`, so that no aiohttp error, whose text holds the URL, stays as its context.
        try:
            async with silence:
                return await self._exchange(body, methods[0] if len(set(methods)) == 1 else "batch", signs, silence)
        except TimeoutError:
            fault = (
                "was silent for too long" if silence.expired() else f"gave no whole answer within {self._timeout_s} s"
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            fault = f"failed ({type(error).__name__}: {self._address.scrub(str(error))})"
        raise EndpointFailed(f"{self.name}: {methods[0]} {fault}; try again, or use another endpoint.")

    async def _exchange(self, body: bytes, method: str, signs: Signs | None, silence: asyncio.Timeout) -> _Reply:
        how: dict[str, Any] = {
            "headers": {"Content-Type": "application/json"},
            "timeout": aiohttp.ClientTimeout(self._timeout_s),
        }
        async with self._session().post(self._address.url(), data=body, allow_redirects=False, **how) as response:
            whole = bytearray()
            async for piece in response.content.iter_any():
                if signs is not None:
                    signs.heard = True
                    silence.reschedule(asyncio.get_running_loop().time() + signs.silence / 1_000_000_000)
                whole += piece
                self.bytes_in += len(piece)
                meter.count(octets=len(piece))
                if len(whole) > self._max_bytes:
                    response.close()
                    raise self._over_cap(method)
            return _Reply(response.status, _retry_after(response.headers.get("Retry-After")), whole)

    def _over_cap(self, method: str) -> IndexerError:
        sentence = f"{self.name}: the answer to {method} is over {self._max_bytes} octets; ask for less."
        return TooMuch(sentence) if method == "eth_getLogs" else EndpointFailed(sentence)

    def _read(self, request: _Request, envelope: _Envelope, reply: _Reply) -> bytes | IndexerError:
        method = request.method
        if envelope.error is not None:
            return self._refusal(method, envelope.error, reply)
        result = bytes(envelope.result)  # the one copy of what may be a large answer
        if reply.status != 200 or not result:
            return self._unreadable(method, reply)
        if bytes(envelope.id) != str(request.id).encode():
            return EndpointFailed(f"{self.name}: the answer to {method} bears another request's id; try again.")
        return result

    def _match(
        self, formed: Sequence[_Request], envelopes: list[_Envelope], reply: _Reply
    ) -> list[bytes | IndexerError]:
        found = Counter(bytes(envelope.id) for envelope in envelopes)
        by_id = {bytes(envelope.id): envelope for envelope in envelopes}
        answers: list[bytes | IndexerError] = []
        for request in formed:
            key, method = str(request.id).encode(), request.method
            if found[key] == 1:
                answers.append(self._read(request, by_id[key], reply))
            else:
                fault = f"{self.name}: {method} was answered {found[key]} times in a batch; try again."
                answers.append(EndpointFailed(fault))
        return answers

    def _whole_batch(self, envelope: _Envelope, reply: _Reply) -> IndexerError:
        """What one object in answer to a batch means: mostly that batches are limited or not served."""
        error = envelope.error if envelope.error is not None else "one answer to a whole batch"
        refusal = self._refusal("batch", error, reply)
        text = str(refusal).removeprefix(f"{self.name}: batch")
        unserved = type(refusal) is EndpointFailed and reply.status < 500
        if not (unserved or "batch" in text.lower() or "-32601" in text):
            return refusal
        named = re.search(r"(?:limit|max|up to|exceed)\D{0,30}(\d{1,4})\b", text, re.IGNORECASE)
        return BatchRefused(str(refusal), int(named[1]) if named else None)

    def _refusal(self, method: str, error: object, reply: _Reply) -> IndexerError:
        fields = error if isinstance(error, Mapping) else {"message": str(error)}
        return self._named(translate(method, self._address.scrub(fields), reply.status), reply)

    def _unreadable(self, method: str, reply: _Reply) -> IndexerError:
        text = reply.body[:READ_CHARS].decode(errors="replace")
        return self._named(translate_http(method, reply.status, self._address.scrub(text)), reply)

    def _named(self, error: IndexerError, reply: _Reply) -> IndexerError:
        error.args = (f"{self.name}: {error}",)
        if isinstance(error, EndpointBusy) and error.retry_after is None:
            error.retry_after = reply.retry_after
        return error


def _plain(request: _Request, reply: _Reply) -> bytes | None:
    """The result of a large answer that is printed as nodes print it; what it holds is its reader's to judge."""
    body, head = reply.body, b'{"jsonrpc":"2.0","id":%d,"result":' % request.id
    if reply.status != 200 or len(body) < LARGE or not (body.startswith(head) and body.endswith((b"]}", b"]}\n"))):
        return None
    return bytes(memoryview(body)[len(head) : body.rfind(b"}")])


def quantity(value: object, what: str) -> int:
    """A JSON-RPC quantity (0x hex, also padded or upper-case, or a JSON integer), at most 2^63 - 1.

    Raises EndpointLied naming `what` for anything else.
    """
    number = -1
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and re.fullmatch(r"0[xX][0-9a-fA-F]{1,64}", value):
        number = int(value, 16)
    if not 0 <= number <= MAX_QUANTITY:
        raise EndpointLied(f"{what} should be a quantity, not {str(value)[:80]!r}; ask another endpoint.")
    return number


def _retry_after(header: str | None) -> int | None:
    """Seconds from a Retry-After header in either of its forms (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header):
        return int(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    left = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)) - datetime.now(UTC)
    return max(0, left.days * 86_400 + left.seconds + 1)
