"""An explanation as a tree for people; as JSON for programs."""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal

import msgspec
from rich.text import Text
from rich.tree import Tree

from indexer.publish.explained import (
    DeploymentLine,
    Explanation,
    FlowLine,
    PartLine,
    PieceLine,
    PriceLine,
    Rest,
    SumLine,
)
from indexer.publish.rows import plain

_SHORT = decimal.Context(prec=12)  # digits of a price that people read
_EXACT = decimal.Context(prec=1_000)


def as_json(trees: Sequence[Explanation]) -> str:
    """A JSON array of the trees, one a chain; numerics and octets are texts, so that nothing is rounded."""
    return msgspec.json.encode([plain(asdict(tree)) for tree in trees]).decode()


def as_tree(told: Explanation) -> Tree:
    """The tree, dollars to six decimals; whoever prints it must not break its lines."""
    head = f"{told.protocol} on {told.chain}, {told.day}: {told.metric} = {_usd(told.usd)}"
    tree = Tree(Text(f"{head}\n{told.formula}"), guide_style="dim", highlight=False)
    for remark in told.remarks:
        tree.add(Text(f"note: {remark}"))
    for part in told.parts:
        _part(tree, part, signed=len(told.parts) > 1)
    return tree


def _part(tree: Tree, part: PartLine, *, signed: bool) -> None:
    sign = ("+ " if part.sign > 0 else "- ") if signed else ""
    branch = tree.add(Text(f"{sign}{part.name} = {_usd(part.usd)}: {part.words}"))
    if part.remark:
        branch.add(Text(f"note: {part.remark}"))
    for line in part.deployments:
        _deployment(branch, line)


def _deployment(tree: Tree, line: DeploymentLine) -> None:
    said = f"{line.deployment} ({line.family}, version {line.family_version}): {_usd(line.usd)} in {_flows(line.flows)}"
    branch = tree.add(Text(said + (f", {line.unpriced:,} of them without a price" if line.unpriced else "")))
    for one in line.sums:
        _sum(branch, one)
    if line.rest:
        branch.add(Text(f"and {line.rest.lines:,} more contracts and tokens: {_usd(line.rest.usd)}"))


def _sum(tree: Tree, line: SumLine) -> None:
    dollars = "" if line.price is None else f"{_price(line.price)} = {_usd(line.usd)}"
    label = f"{line.kind} ({line.source}) to {line.side}, {line.basis}"
    branch = tree.add(
        Text(f"{_tokens(line.amount, line)}{dollars}: {label}, at {_hex(line.contract)}, {_flows(line.flows)}")
    )
    if line.remark:
        branch.add(Text(f"note: {line.remark}"))
    branch.add(Text(f"token {_hex(line.token)}" + (f", price: {_evidence(line.price)}" if line.price else "")))
    for piece in line.pieces:
        branch.add(Text(_piece(piece, line)))
    for flow in line.listed:
        branch.add(Text(_flow(flow, line)))
    if line.rest:
        branch.add(Text(_rest(line.rest, line)))


def _evidence(price: PriceLine) -> str:
    place = "" if price.evidence is None else f" {_hex(price.evidence)}"
    age = "of the day itself" if price.age_days == 0 else f"{price.age_days} days old"
    return f"{price.words}{place}, {age}"


def _flow(flow: FlowLine, of: SumLine) -> str:
    place = f"block {flow.block}, {flow.time:%Y-%m-%d %H:%M:%S}, tx {_hex(flow.tx_hash)}, log {flow.log_index}"
    return f"{place}, leg {flow.leg}: {_worth(flow.amount, flow.usd, of)}"


def _piece(piece: PieceLine, of: SumLine) -> str:
    told = f"block {piece.block}"
    if piece.tx_hash is not None:
        told += f", tx {_hex(piece.tx_hash)}, log {piece.log_index}"
    rate = f"{piece.seconds:,} s x {piece.numerator:f} / {piece.denominator:f} raw units a second"
    span = f"{piece.begins:%Y-%m-%d %H:%M:%S} to {piece.ends:%Y-%m-%d %H:%M:%S}"
    return f"stream {span}, {rate}: {_worth(piece.amount, piece.usd, of)}; rate told at {told}"


def _rest(rest: Rest, of: SumLine) -> str:
    amount = "" if rest.amount is None else _worth(rest.amount, rest.usd, of)
    return f"and {rest.lines:,} more: {amount}"


def _worth(amount: Decimal, usd: Decimal | None, of: SumLine) -> str:
    return _tokens(amount, of) + ("" if usd is None else f" = {_usd(usd)}")


def _tokens(amount: Decimal, of: SumLine) -> str:
    """Whole tokens, every digit; raw units where the token does not tell its decimals."""
    name = "of a token without a symbol" if of.symbol is None else of.symbol
    if of.decimals is None:
        return f"{amount:,f} raw units {name}"
    digits = f"{_EXACT.scaleb(amount, -of.decimals):,f}"
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits} {name}"


def _flows(count: int) -> str:
    return f"{count:,} flow{'' if count == 1 else 's'}"


def _price(price: PriceLine) -> str:
    return f" x {_SHORT.plus(price.unit_usd if price.usd is None else price.usd):,f}"


def _usd(value: Decimal | None) -> str:
    return "unknown" if value is None else f"{value:,.6f}"


def _hex(value: bytes | None) -> str:
    return "unknown" if value is None else f"0x{value.hex()}"
