"""Tokens that prices start from: dollar tokens held at their peg, and what pools are quoted in."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError

from indexer.documents import AddressText, ChainName, Document, File, SourceText, Whole, lines, mistakes, read_toml
from indexer.errors import BadInput
from indexer.model import Address

_MOST_DOLLARS = 1_000_000


@dataclass(frozen=True, slots=True)
class QuoteToken:
    """A token others are priced in. peg_usd: dollars of one whole token on every day, None where a price is found."""

    chain: str
    address: Address
    symbol: str
    decimals: int
    peg_usd: Decimal | None


def packaged_tokens() -> File:
    """The token list that comes with the program."""
    return resources.files("indexer") / "prices" / "tokens.toml"


def load_quotes(*paths: File) -> tuple[QuoteToken, ...]:
    """The tokens of these files, in their order; without files those that come with the program.

    Raises BadInput with every mistake of every file, one a line: 'file: place: sentence'.
    """
    problems: list[str] = []
    found: dict[tuple[str, Address], QuoteToken] = {}
    for path in paths or (packaged_tokens(),):
        for at, row in enumerate(_read(path, problems)):
            token = QuoteToken(row.chain, row.address, row.symbol, row.decimals, row.peg_usd)
            if found.setdefault((token.chain, token.address), token) is not token:
                problems += lines(path.name, [(("token", at), "names a token that is named above: remove one")])
    if problems:
        raise BadInput(problems)
    return tuple(found.values())


def _peg(value: object) -> Decimal:
    """Decimal text or a whole number; a TOML float is refused, it would be rounded."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).isascii():
        raise ValueError('must be a whole number or a text such as "0.5": dollars are never floats')
    try:
        dollars = Decimal(value)
    except ArithmeticError:
        raise ValueError('must be a number of dollars, such as 1 or "0.5"') from None
    if not dollars.is_finite() or not 0 < dollars <= _MOST_DOLLARS:
        raise ValueError(f"must be above zero and at most {_MOST_DOLLARS} dollars")
    return dollars


class _Row(Document):
    chain: ChainName
    symbol: Annotated[str, Field(pattern=r"^[A-Za-z0-9.]{1,20}$")]
    address: AddressText
    decimals: Annotated[Whole, Field(ge=0, le=36)]
    peg_usd: Annotated[Decimal, BeforeValidator(_peg)] | None = None
    source: SourceText


class _File(Document):
    token: tuple[_Row, ...]


def _read(path: File, problems: list[str]) -> tuple[_Row, ...]:
    try:
        return _File.model_validate(read_toml(path)).token
    except ValidationError as fault:
        problems += lines(path.name, mistakes(fault))
    except BadInput as fault:
        problems += fault.problems
    return ()
