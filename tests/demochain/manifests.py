"""Writes the protocol files of the demo chain, with the addresses it was made with."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address

from tests.demochain.cast import Stage
from tests.demochain.play import Play

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

[[deployment]]
chain = "demo"
name = "staking"
family = "staking_rewards"
start_block = {staking_start}
exactness = "exact: rate x seconds, as the contract counts it"
[deployment.contracts]
pool = "{staking}"
token = "{token}"
[deployment.options]
kind = "incentive"
why = "The reward is FARM, the protocol's own token, out of the owner's reserve."
[deployment.counts]
incentive = "accrued"
[deployment.sources]
start_block = "The block in which the maker of the demo chain deployed the staking contract."
pool = "Deployed by the maker of the demo chain, tests/demochain, from StakingRewards.sol of synthetix 2.102.1."
token = "The demo chain's FARM token, tests/demochain/contracts/Token.sol."
'''

PAIRS = '''\
[protocol]
id = "demo_pairs"
name = "Demo pairs"
category = "dex"
methodology = """\\
Fees are 0.3 % of what swaps bring into the pairs of one factory. Liquidity providers get them; while the factory's fee \\
switch is on, a sixth is allotted to the protocol at each swap. What the pairs really mint to the treasury when liquidity \\
comes or goes is kept beside it as paid and not counted again."""

[[deployment]]
chain = "demo"
family = "uniswap_v2"
start_block = {start}
exactness = "at most 1 raw unit per swap; the protocol's sixth is an allotment, paid when liquidity comes or goes"
[deployment.contracts]
factory = "{factory}"
price_pairs = ["{price_pair}"]
[[deployment.options.fee_to]]
first_block = {on}
last_block = {off}
recipient = "{treasury}"
source = "The maker of the demo chain calls setFeeTo in the first of these blocks and in the one after the last."
[deployment.counts]
fee = "accrued"
incentive = "none"
[deployment.sources]
start_block = "The block in which the maker of the demo chain deployed the factory."
factory = "Deployed by the maker of the demo chain, tests/demochain, from the bytecode of @uniswap/v2-core 1.0.1."
price_pairs = "The pair of FARM and WETH that the factory made, tests/demochain/pairs.py."
'''

FEED = """\
[protocol]
id = "demo_feed"
name = "Demo price feed"
category = "price_feed"
methodology = "Dollars of the demo's wrapped coin, as a feed with two phases tells them; the feed has no fees of its own."

[[deployment]]
chain = "demo"
name = "weth_usd"
family = "chainlink_feed"
start_block = {start}
exactness = "the feed's own answers"
[deployment.contracts]
proxy = "{proxy}"
[deployment.options]
token = "{weth}"
source = "The demo's wrapped coin; the maker of the demo chain answers with what its traders believe."
[deployment.sources]
start_block = "The block in which the maker of the demo chain deployed the feed."
proxy = "Deployed by the maker of the demo chain, tests/demochain/contracts/FeedProxy.sol."
"""


def write_manifests(folder: Path, stage: Stage, play: Play) -> None:
    """All protocol files of the demo in this folder."""
    folder.mkdir(exist_ok=True)
    created, weth = stage.created, stage.tokens["weth"]
    dex, fork, chef, pairs = stage.dex.factory, stage.fork.factory, stage.farm.chef, play.pairs
    places = {
        "demo_dex": (DEX, {"factory": dex}, {"start": created[dex]}),
        "demo_farm": (
            FARM,
            {
                "fork": fork,
                "chef": chef,
                "token": stage.farm.token,
                "harvester": stage.harvester,
                "staking": play.staking,
            },
            {"start": created[chef], "fork_start": created[fork], "staking_start": created[play.staking]},
        ),
        "demo_pairs": (
            PAIRS,
            {"factory": pairs.factory, "price_pair": pairs.at["pair_farm_weth"], "treasury": stage.treasury},
            {"start": created[pairs.factory], "on": pairs.switched[0], "off": pairs.switched[1] - 1},
        ),
        "demo_feed": (FEED, {"proxy": play.feed.proxy, "weth": weth}, {"start": created[play.feed.proxy]}),
    }
    for name, (text, addresses, blocks) in places.items():
        shown = {key: to_checksum_address(address) for key, address in addresses.items()}
        (folder / f"{name}.toml").write_text(text.format(**shown, **blocks))
