"""Writes the two protocol files of the demo chain, with the addresses it was made with."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address

from tests.demochain.cast import Stage

DEX = '''\
[protocol]
id = "demo_dex"
name = "Demo exchange"
category = "dex"
methodology = """\\
Fees are what swaps and flash loans pay to the pools of one factory. Liquidity providers get them; while a pool's fee \\
switch is on, the protocol gets its share. Collecting that share later is kept beside it and not counted again; the \\
pools of the fork belong to another protocol."""

[[deployment]]
chain = "demo"
family = "uniswap_v3"
start_block = {start}
exactness = "at most 1 raw unit per swap step below the contract, plus less than one unit of the pool's Q64.96 price"
[deployment.contracts]
factory = "{factory}"
[deployment.counts]
fee = "accrued"
incentive = "none"
[deployment.sources]
start_block = "The block in which the maker of the demo chain deployed the factory."
factory = "Deployed by the maker of the demo chain, tests/demochain, from the bytecode of @uniswap/v3-core 1.0.1."
'''

FARM = '''\
[protocol]
id = "demo_farm"
name = "Demo farm"
category = "dex"
methodology = """\\
A fork of the exchange, with fewer fees and a farm that prints. Fees are as for the exchange. \\
Incentives are the FARM tokens that the chef mints to itself for those who stake with it, counted when they are minted. \\
The tenth minted to the developers on top goes to no user and is not counted; what the harvester pays is kept beside it, \\
and transfers between users are not counted."""
[[protocol.own_tokens]]
chain = "demo"
address = "{token}"
source = "FARM, minted by the chef of the demo chain only."

[[deployment]]
chain = "demo"
name = "exchange"
family = "uniswap_v3"
start_block = {fork_start}
exactness = "at most 1 raw unit per swap step below the contract, plus less than one unit of the pool's Q64.96 price"
[deployment.contracts]
factory = "{fork}"
[deployment.counts]
fee = "accrued"
[deployment.sources]
start_block = "The block in which the maker of the demo chain deployed the fork's factory."
factory = "The same bytecode deployed once more by the maker of the demo chain, tests/demochain."

[[deployment]]
chain = "demo"
name = "chef"
family = "masterchef"
start_block = {start}
exactness = "exact: the mints themselves"
[deployment.contracts]
chef = "{chef}"
token = "{token}"
harvesters = ["{harvester}"]
[deployment.counts]
incentive = "accrued"
[deployment.sources]
start_block = "The block in which the maker of the demo chain deployed the chef."
chef = "Deployed by the maker of the demo chain, tests/demochain, from MasterChef.sol of @sushiswap/core 1.4.2."
token = "The demo chain's FARM token, tests/demochain/contracts/Token.sol."
harvesters = "Pays from a reserve with the Harvest event of MasterChefV2, tests/demochain/contracts/Harvester.sol."
'''


def write_manifests(folder: Path, stage: Stage) -> None:
    """demo_dex.toml and demo_farm.toml in this folder."""
    folder.mkdir(exist_ok=True)
    factory, fork, farm = stage.dex.factory, stage.fork.factory, stage.farm
    dex = DEX.format(start=stage.created[factory], factory=to_checksum_address(factory))
    addresses = {"fork": fork, "chef": farm.chef, "token": farm.token, "harvester": stage.harvester}
    places = {name: to_checksum_address(address) for name, address in addresses.items()}
    (folder / "demo_dex.toml").write_text(dex)
    (folder / "demo_farm.toml").write_text(
        FARM.format(start=stage.created[farm.chef], fork_start=stage.created[fork], **places)
    )
