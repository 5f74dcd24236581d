"""Programs and contracts the demo chain is made with, fetched by npm into a cache; none of them is committed."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

SOURCES = Path(__file__).parent / "contracts"
ANVIL = "1.7.1"
V2_CORE = "@uniswap/v2-core@1.0.1"
V3_CORE = "@uniswap/v3-core@1.0.1"
V3_PERIPHERY = "@uniswap/v3-periphery@1.4.4"
SUSHI = "@sushiswap/core@1.4.2"
ZEPPELIN = "@openzeppelin/contracts@3.1.0"
SYNTHETIX = "synthetix@2.102.1"
LIQUIDITY_STAKER = "@uniswap/liquidity-staker@1.0.2"
ZEPPELIN_OLD = "openzeppelin-solidity@2.3.0"
SOLC = "solc@0.8.26"
SOLC_SYNTHETIX = "solc@0.5.16"
SOLC_SUSHI = "solc@0.6.12"

# soljson.js is the compiler itself; the npm wrapper around it would need packages of its own.
COMPILE = """
const soljson = require(process.argv[1]);
const compile = soljson.cwrap('solidity_compile', 'string', ['string', 'number', 'number']);
let text = '';
process.stdin.on('data', part => { text += part; });
process.stdin.on('end', () => process.stdout.write(compile(text, 0, 0)));
"""


class NotObtainable(Exception):
    """npm or node is missing, or the registry did not give a package."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Creation bytecode of a contract, and the types of its constructor such as `(string,uint8)`."""

    bytecode: bytes
    constructor: str


def cache_folder() -> Path:
    """Where packages are kept: DEMOCHAIN_CACHE, or a folder of ours in the user's cache."""
    told = os.environ.get("DEMOCHAIN_CACHE")
    return Path(told) if told is not None else user_cache_path("real-yield-indexer") / "demochain"


def package(spec: str) -> Path:
    """Folder of an npm package `name@version`, packed and unpacked on first use; raises NotObtainable."""
    folder = cache_folder() / spec.replace("/", "+")
    if not folder.exists():
        _need("npm")
        _unpack(spec, folder)
    return folder / "package"


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise NotObtainable(f"{program} is not installed: the demo chain's contracts come from npm packages.")


def _unpack(spec: str, folder: Path) -> None:
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", spec, "--silent"]
    asked = subprocess.run(command, cwd=draft, capture_output=True, text=True, timeout=300, check=False)
    if asked.returncode != 0:
        shutil.rmtree(draft)
        raise NotObtainable(f"npm pack {spec} failed: {asked.stderr.strip()[-300:]}")
    tarball = next(draft.glob("*.tgz"))
    with tarfile.open(tarball) as archive:
        archive.extractall(draft, filter="data")
    tarball.unlink()
    try:
        draft.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(draft)


@cache
def anvil_program() -> Path:
    """The anvil binary for this machine; raises NotObtainable."""
    system = {"Linux": "linux", "Darwin": "darwin"}.get(platform.system())
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    if system is None or machine is None:
        raise NotObtainable(f"No anvil package for {platform.system()} on {platform.machine()}.")
    program = package(f"@foundry-rs/anvil-{system}-{machine}@{ANVIL}") / "bin" / "anvil"
    program.chmod(0o755)
    return program


@cache
def uniswap(name: str) -> Artifact:
    """A published artifact of Uniswap v3 core or periphery, by contract name."""
    for spec in (V3_CORE, V3_PERIPHERY):
        path = package(spec) / "artifacts" / "contracts" / f"{name}.sol" / f"{name}.json"
        if path.exists():
            content = json.loads(path.read_text())
            return Artifact(bytes.fromhex(content["bytecode"][2:]), _constructor(content["abi"]))
    raise NotObtainable(f"{name} is in neither {V3_CORE} nor {V3_PERIPHERY}.")


@cache
def uniswap_v2(name: str) -> Artifact:
    """A published artifact of Uniswap v2 core, by contract name."""
    content = json.loads((package(V2_CORE) / "build" / f"{name}.json").read_text())
    return Artifact(bytes.fromhex(content["evm"]["bytecode"]["object"]), _constructor(content["abi"]))


@cache
def staking_rewards(changed: Path | None = None) -> Artifact:
    """Synthetix's StakingRewards, compiled from its published source with the compiler its pragma names.

    Constructor: owner, rewardsDistribution, rewardsToken, stakingToken. changed: a contract of ours that inherits it.
    """
    contracts, zeppelin = package(SYNTHETIX) / "contracts", package(ZEPPELIN_OLD) / "contracts"
    sources = {"StakingRewards.sol": (contracts / "StakingRewards.sol").read_text()}
    for name in ("RewardsDistributionRecipient", "Pausable", "Owned", "interfaces/IStakingRewards"):
        sources[f"{name}.sol"] = (contracts / f"{name}.sol").read_text()
    for path in sorted(zeppelin.rglob("*.sol")):
        sources[f"openzeppelin-solidity-2.3.0/contracts/{path.relative_to(zeppelin)}"] = path.read_text()
    if changed is not None:
        sources[changed.name] = changed.read_text()
    return _compiled(SOLC_SYNTHETIX, sources, "istanbul")["StakingRewards" if changed is None else changed.stem]


@cache
def liquidity_staker() -> Artifact:
    """Uniswap's published StakingRewards, with a duration that no log tells.

    Constructor: rewardsDistribution, rewardsToken, stakingToken.
    """
    content = json.loads((package(LIQUIDITY_STAKER) / "build" / "StakingRewards.json").read_text())
    return Artifact(bytes.fromhex(content["bytecode"].removeprefix("0x")), _constructor(content["abi"]))


@cache
def master_chef() -> Artifact:
    """SushiSwap's MasterChef, compiled from its published source with the compiler its pragma names."""
    sushi, zeppelin = package(SUSHI) / "contracts", package(ZEPPELIN)
    sources = {path.name: path.read_text() for path in (sushi / "MasterChef.sol", sushi / "SushiToken.sol")}
    for path in sorted(zeppelin.rglob("*.sol")):
        sources[f"@openzeppelin/contracts/{path.relative_to(zeppelin)}"] = path.read_text()
    return _compiled(SOLC_SUSHI, sources, "istanbul")["MasterChef"]


def own(name: str) -> Artifact:
    """One of our own contracts by file name, from the `contracts` folder."""
    return _own()[name]


@cache
def _own() -> dict[str, Artifact]:
    sources = {path.name: path.read_text() for path in sorted(SOURCES.glob("*.sol"))}
    return _compiled(SOLC, sources, "paris")


def _compiled(compiler: str, sources: dict[str, str], evm: str) -> dict[str, Artifact]:
    question = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200},
            "evmVersion": evm,
            "outputSelection": {name: {"*": ["abi", "evm.bytecode.object"]} for name in sources if "/" not in name},
        },
    }
    _need("node")
    soljson = package(compiler) / "soljson.js"
    command = ["node", "-e", COMPILE, str(soljson)]
    answer = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, timeout=300, check=True
    )
    content = json.loads(answer.stdout)
    mistakes = [e["formattedMessage"] for e in content.get("errors", []) if e["severity"] == "error"]
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return {
        name: Artifact(bytes.fromhex(made["evm"]["bytecode"]["object"]), _constructor(made["abi"]))
        for contracts in content["contracts"].values()
        for name, made in contracts.items()
    }


def _constructor(abi: list[dict[str, Any]]) -> str:
    inputs: list[dict[str, Any]] = next((entry["inputs"] for entry in abi if entry["type"] == "constructor"), [])
    return "(" + ",".join(parameter["type"] for parameter in inputs) + ")"
