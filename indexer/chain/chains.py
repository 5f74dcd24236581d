"""What the indexer knows about chains before it asks a node."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


@dataclass(frozen=True, slots=True)
class Chain:
    """Facts about one chain; users may construct their own.

    block_ms: usual milliseconds between blocks. slot_timed_from: first block from which every gap is a whole
    multiple of block_ms (None: never). confirmations: depth that counts as final without a `finalized` tag.
    multicall3: 20 octets; multicall3_block: the block that created it (None: not deployed).
    """

    name: str
    chain_id: int
    block_ms: int
    slot_timed_from: int | None
    confirmations: int
    multicall3: bytes
    multicall3_block: int | None
    native: str | None = None
    wrapped_native: bytes | None = None


_Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]
_Link = Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$")]


class _Entry(BaseModel):
    """One table of chains.toml; every fact must name its source."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    chain_id: int = Field(gt=0)
    block_ms: int = Field(gt=0)
    slot_timed_from: int | None = Field(default=None, ge=0)
    confirmations: int = Field(ge=0)
    multicall3: _Address
    multicall3_block: int = Field(ge=0)
    native: str = Field(min_length=1)
    wrapped_native: _Address
    sources: dict[str, _Link]

    @model_validator(mode="after")
    def _every_fact_has_a_source(self) -> _Entry:
        facts = self.model_fields_set - {"sources"}
        if facts != set(self.sources):
            raise ValueError(f"facts without a source, or sources without a fact: {sorted(facts ^ set(self.sources))}")
        return self

    def chain(self, name: str) -> Chain:
        return Chain(
            name=name,
            chain_id=self.chain_id,
            block_ms=self.block_ms,
            slot_timed_from=self.slot_timed_from,
            confirmations=self.confirmations,
            multicall3=bytes.fromhex(self.multicall3[2:]),
            multicall3_block=self.multicall3_block,
            native=self.native,
            wrapped_native=bytes.fromhex(self.wrapped_native[2:]),
        )


@cache
def _packaged() -> tuple[Chain, ...]:
    tables = tomllib.loads(files("indexer.chain").joinpath("chains.toml").read_text(encoding="utf-8"))
    return tuple(_Entry.model_validate(table).chain(name) for name, table in tables.items())


def load_chains() -> dict[str, Chain]:
    """The packaged chains by name: a new dict each time, so that callers may add their own."""
    return {chain.name: chain for chain in _packaged()}
