"""Deploys Uniswap v3, a MasterChef and tokens; the maker of the demo chain and the tests share it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.demochain.artifacts import master_chef, own, uniswap
from tests.demochain.node import ZERO, Node

MULTICALL3 = "0xca11bde05977b3631167028862be2a173976ca11"  # the address it has on every chain (mds1/multicall3)
FOREVER = 2**64 - 1  # a deadline no block reaches
MAX = 2**256 - 1
FULL_RANGE = 887272  # TickMath.MAX_TICK


@dataclass(frozen=True, slots=True)
class Uniswap:
    """One Uniswap v3: its factory (owned by owner) and periphery."""

    factory: str
    positions: str  # NonfungiblePositionManager
    router: str
    owner: str


@dataclass(frozen=True, slots=True)
class Farm:
    """A MasterChef and the token that only it can mint from now on."""

    chef: str
    token: str
    dev: str  # gets a tenth on top of every mint


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool with its tokens in the order of their addresses; fee in hundredths of a basis point."""

    address: str
    token0: str
    token1: str
    fee: int
    spacing: int


@dataclass(frozen=True, slots=True)
class Emission:
    """What a MasterChef is built with: reward per block, and where the tenfold bonus ends."""

    per_block: int
    start_block: int
    bonus_end: int


def place_multicall(node: Node) -> None:
    """Our own contract with the aggregate3 of Multicall3, at its well-known address, without a transaction."""
    init = "0x" + own("Multicall").bytecode.hex()
    code = node.rpc("eth_call", {"data": init}, "latest")
    node.rpc("anvil_setCode", MULTICALL3, code)


def deploy_uniswap(node: Node, owner: str, weth: str) -> Uniswap:
    """Factory, router and position manager, in line for the next block."""
    factory = node.deploy(owner, uniswap("UniswapV3Factory"))
    router = node.deploy(owner, uniswap("SwapRouter"), factory, weth)
    positions = node.deploy(owner, uniswap("NonfungiblePositionManager"), factory, weth, ZERO)
    return Uniswap(factory, positions, router, owner)


def deploy_farm(node: Node, owner: str, dev: str, token: str, emission: Emission) -> Farm:
    """A MasterChef that becomes the owner of token, in line for the next block."""
    arguments = (token, dev, emission.per_block, emission.start_block, emission.bonus_end)
    chef = node.deploy(owner, master_chef(), *arguments)
    node.transact(owner, token, "transferOwnership(address)", chef)
    return Farm(chef, token, dev)


def create_pool(node: Node, place: Uniswap, tokens: tuple[str, str], fee: int, sqrt_price: int) -> str:
    """Creates and starts a pool in line for the next block; sqrt_price is Q64.96 in address order."""
    token0, token1 = sorted(tokens)
    signature = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)"
    return node.transact(place.owner, place.positions, signature, token0, token1, fee, sqrt_price)


def read_pool(node: Node, place: Uniswap, tokens: tuple[str, str], fee: int) -> Pool:
    """The pool the factory knows under these tokens and this tier."""
    token0, token1 = sorted(tokens)
    (address,) = node.call(place.factory, "getPool(address,address,uint24)->(address)", token0, token1, fee)
    (spacing,) = node.call(address, "tickSpacing()->(int24)")
    return Pool(address, token0, token1, fee, spacing)


def mint_position(
    node: Node, place: Uniswap, pool: Pool, owner: str, span: tuple[int, int], *, desired: tuple[int, int]
) -> None:
    """A new position between two ticks with at most the desired raw amounts of token0 and token1."""
    signature = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
    arguments = (pool.token0, pool.token1, pool.fee, *span, *desired, 0, 0, owner, FOREVER)
    node.transact(owner, place.positions, signature, arguments)


def swap_exact_input(
    node: Node, place: Uniswap, pool: Pool, trader: str, zero_for_one: bool, *, amount: int, limit: int = 0
) -> None:
    """Sells a raw amount of token0 (zero_for_one) or token1 through the router; limit is a Q64.96 price or 0."""
    paid, got = (pool.token0, pool.token1) if zero_for_one else (pool.token1, pool.token0)
    signature = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
    arguments = (paid, got, pool.fee, trader, FOREVER, amount, 0, limit)
    node.transact(trader, place.router, signature, arguments)


def approve(node: Node, account: str, tokens: list[str], spenders: list[str]) -> None:
    """Unlimited allowances, in line for the next block."""
    for token in tokens:
        for spender in spenders:
            node.transact(account, token, "approve(address,uint256)", spender, MAX)


def widest(spacing: int) -> tuple[int, int]:
    """The full-range ticks of a tick spacing."""
    edge = FULL_RANGE // spacing * spacing
    return -edge, edge
