"""web3.py over our endpoints: the same connections, limits, errors and counters, and no secret in any text.

Apart from what a run needs, because importing web3 takes longer than all the rest together.
"""

from __future__ import annotations

import sys
from typing import Any, cast

import msgspec
from web3 import AsyncWeb3
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from indexer.chain.rpc import Endpoint
from indexer.errors import IndexerError

# web3 imports py_ecc, which raises Python's recursion limit to 100,000: a node's answer of "[[[[..." would then
# overflow the C stack of every JSON decoder and kill the process.
sys.setrecursionlimit(min(sys.getrecursionlimit(), 3000))


class Web3Provider(AsyncJSONBaseProvider):
    """What `AsyncWeb3` asks in place of its own HTTP provider; errors are raised as by Endpoint, never returned."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self.exception_retry_configuration = cast("Any", None)  # Endpoints knows what to repeat

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request."""
        result = await self._endpoint.call(method, self._plain(params))
        return {"jsonrpc": "2.0", "id": 1, "result": msgspec.json.decode(result)}

    async def make_batch_request(self, batch_requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Several at once; the first item in error is raised."""
        answers = await self._endpoint.batch([(method, self._plain(params)) for method, params in batch_requests])
        for answer in answers:
            if isinstance(answer, IndexerError):
                raise answer
        results = [msgspec.json.decode(answer) for answer in answers if isinstance(answer, bytes)]
        return [{"jsonrpc": "2.0", "id": n, "result": result} for n, result in enumerate(results)]

    async def disconnect(self) -> None:
        """Closes the endpoint's connections."""
        await self._endpoint.close()

    def _plain(self, params: Any) -> Any:
        """Parameters without web3's own types."""
        return msgspec.json.decode(self.encode_rpc_dict(self.form_request(RPCEndpoint(""), params)))["params"]


def web3(endpoint: Endpoint) -> AsyncWeb3[Any]:
    """web3.py over an endpoint."""
    return AsyncWeb3(Web3Provider(endpoint))
