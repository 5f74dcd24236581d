"""Protocol files: what is packaged loads, each mistake has its sentence, nothing but BadInput is ever raised."""

from __future__ import annotations

import pickle
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.documents import MAX_OCTETS
from indexer.errors import BadInput
from indexer.families import FAMILIES, Family
from indexer.families.interface import Arity
from indexer.manifest import Deployment, digest, load_protocols, packaged_manifests
from indexer.model import Basis, Kind, Subscription

CHAINS = ("arbitrum", "base", "ethereum", "optimism", "polygon")
FACTORY = "0x1F98431c8aD98523631AE4a59f267346ea31F984"
UNI = "0x1f9840a85d5aF5bf1D1762F925BDADdC4201F984"

GOOD = f"""\
[protocol]
id = "good"
name = "Good"
category = "dex"
methodology = "Counts the fee of every swap."
[[protocol.own_tokens]]
chain = "ethereum"
address = "{UNI}"
source = "https://docs.uniswap.org/concepts/governance/overview"
[[deployment]]
chain = "ethereum"
family = "uniswap_v3"
start_block = 12369621
exactness = "at most 1 raw unit per swap step"
[deployment.contracts]
factory = "{FACTORY}"
[deployment.counts]
fee = "accrued"
[deployment.sources]
start_block = "https://github.com/Uniswap/v3-subgraph/blob/main/networks.json"
factory = "the first block of the demo chain"
"""


def address(number: int) -> str:
    return cast(str, to_checksum_address(f"0x{number:040x}"))


def fake(name: str, contracts: dict[str, Arity], *subscriptions: Subscription, anchor: bytes | None = None) -> Family:
    """A family that wants the same events wherever it is deployed."""
    made = SimpleNamespace(
        name=name,
        version=1,
        kinds={Kind.FEE: (Basis.ACCRUED,)},
        contracts=contracts,
        subscriptions=lambda _: subscriptions,
        anchor=lambda _: anchor,
        options=None,
        configured=lambda _: made,
    )
    return cast(Family, made)


def problems(folder: Path, *texts: str, families: dict[str, Family] | None = None) -> list[str]:
    """What load_protocols says about files good.toml, good1.toml, ..."""
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"good{number or ''}.toml")
        paths[-1].write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load_protocols(paths, CHAINS, families if families is not None else FAMILIES)
    return caught.value.problems


def loaded(folder: Path, text: str = GOOD) -> Deployment:
    (folder / "good.toml").write_text(text, encoding="utf-8")
    return load_protocols([folder / "good.toml"], CHAINS)["good"].deployments[0]


def test_a_good_file_becomes_what_it_says(tmp_path: Path) -> None:
    deployment = loaded(tmp_path)
    assert (deployment.id, deployment.protocol, deployment.chain) == ("good.ethereum", "good", "ethereum")
    assert deployment.contracts == {"factory": (bytes.fromhex(FACTORY[2:]),), "pools": ()}
    assert deployment.counts == {Kind.FEE: Basis.ACCRUED}
    assert deployment.start_block == 12369621
    protocol = load_protocols([tmp_path / "good.toml"], CHAINS)["good"]
    assert protocol.own_tokens == (("ethereum", bytes.fromhex(UNI[2:])),)


def test_a_deployment_can_go_to_another_process(tmp_path: Path) -> None:
    held = loaded(tmp_path)
    assert pickle.loads(pickle.dumps(held)) == held


def test_a_name_ends_the_id(tmp_path: Path) -> None:
    assert loaded(tmp_path, GOOD.replace("family =", 'name = "main"\nfamily =')).id == "good.ethereum.main"


def test_a_list_of_addresses_is_taken(tmp_path: Path) -> None:
    text = GOOD.replace("[deployment.counts]", f'pools = ["{address(1)}", "{address(2)}"]\n[deployment.counts]')
    deployment = loaded(tmp_path, text + 'pools = "two pools for a test"\n')
    assert deployment.contracts["pools"] == (bytes(19) + b"\1", bytes(19) + b"\2")


def test_the_packaged_files_load_and_every_one_is_there() -> None:
    found = load_protocols(packaged_manifests(), CHAINS)
    assert list(found) == [file.name.removesuffix(".toml") for file in packaged_manifests()]
    uniswap = {deployment.chain: deployment for deployment in found["uniswap_v3"].deployments}
    assert set(uniswap) == set(CHAINS)
    assert uniswap["ethereum"].start_block == 12369621
    (chef,) = [one for one in found["sushiswap"].deployments if one.family == "masterchef"]
    assert chef.id == "sushiswap.ethereum.masterchef"
    assert chef.contracts["token"] == (found["sushiswap"].own_tokens[0][1],)
    assert chef.counts == {Kind.INCENTIVE: Basis.ACCRUED, Kind.FEE: None}


def test_every_packaged_fact_has_a_link() -> None:
    for file in packaged_manifests():
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
        links = [link for row in raw["deployment"] for link in row["sources"].values()]
        assert all(link.startswith("https://") for link in links), file.name


def test_the_example_in_the_readme_loads(tmp_path: Path) -> None:
    readme = (resources.files("indexer") / "protocols" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    path = tmp_path / "uniswap_v3.toml"
    path.write_text(example[1], encoding="utf-8")
    assert load_protocols([path], CHAINS)["uniswap_v3"].deployments[0].id == "uniswap_v3.ethereum.main"


def test_the_readme_names_every_family_and_contract() -> None:
    readme = (resources.files("indexer") / "protocols" / "README.md").read_text(encoding="utf-8")
    names = {name for family in FAMILIES.values() for name in (family.name, *family.contracts)}
    assert [name for name in sorted(names) if f"| `{name}` |" not in readme] == []


MISTAKES = {
    "category unknown": ('"dex"', '"casino"', "good.toml: protocol.category: must be 'dex', 'farm', "),
    "id shape": ('id = "good"', 'id = "Good!"', "good.toml: protocol.id: must match pattern"),
    "id is not the file": ('id = "good"', 'id = "other"', "good.toml: protocol.id: 'other' differs from the file name"),
    "unknown key": ("start_block = 1", "birth = 1\nstart_block = 1", "deployment[0].birth: is not a key known here"),
    "key missing": (
        'exactness = "at most 1 raw unit per swap step"',
        "",
        "deployment[0].exactness: is missing: add it",
    ),
    "empty text": ('"at most 1 raw unit per swap step"', '""', "deployment[0].exactness: must not be empty"),
    "text for a number": ("= 12369621", '= "soon"', "deployment[0].start_block: must be a whole number"),
    "truth for a number": ("= 12369621", "= true", "deployment[0].start_block: must be a whole number"),
    "fraction for a number": ("= 12369621", "= 1.0", "deployment[0].start_block: must be a whole number"),
    "below zero": ("= 12369621", "= -1", "deployment[0].start_block: must be greater than or equal to 0"),
    "number for a text": ('"Good"', "7", "protocol.name: must be a text in quotes"),
    "unknown chain": (
        '[[deployment]]\nchain = "ethereum"',
        '[[deployment]]\nchain = "mars"',
        "deployment[0].chain: 'mars' is not a chain known here: use one of arbitrum, base, ethereum",
    ),
    "unknown chain of a token": (
        'own_tokens]]\nchain = "ethereum"',
        'own_tokens]]\nchain = "mars"',
        "protocol.own_tokens[0].chain: 'mars' is not a chain known here",
    ),
    "unknown family": ('"uniswap_v3"', '"uniswap_v9"', "deployment[0].family: 'uniswap_v9' is not a family known here"),
    "too many contracts": (
        f'"{FACTORY}"',
        f'["{address(1)}", "{address(2)}"]',
        "deployment[0].contracts.factory: has 2 addresses, family uniswap_v3 needs exactly one",
    ),
    "lower case": (FACTORY, FACTORY.lower(), f"carries no checksum: compare it with its source and write {FACTORY}"),
    "upper case": (
        FACTORY,
        "0x" + FACTORY[2:].upper(),
        f"carries no checksum: compare it with its source and write {FACTORY}",
    ),
    "wrong checksum": (FACTORY, FACTORY[:-1] + "5", "has a wrong checksum: compare each digit with its source"),
    "look-alike": (FACTORY, FACTORY.replace("a", "\u0430", 1), "has a character that only looks like a hexadecimal"),
    "too short": (FACTORY, FACTORY[:-1], "is no address: 0x and 40 hexadecimal digits are needed"),
    "zero address": (FACTORY, "0x" + "0" * 40, "is the zero address"),
    "number as address": (f'"{FACTORY}"', "7", "contracts.factory: must be an address in quotes"),
    "token without checksum": (UNI, UNI.lower(), f"protocol.own_tokens[0].address: {UNI.lower()} carries no checksum"),
    "unknown kind": (
        'fee = "accrued"',
        'fee = "accrued"\ngift = "accrued"',
        "deployment[0].counts.gift: must be 'fee', 'incentive', ",
    ),
    "unknown basis": ('fee = "accrued"', 'fee = "maybe"', "deployment[0].counts.fee: must be 'accrued', 'paid' or"),
    "kind not counted": (
        'fee = "accrued"',
        'incentive = "none"',
        "deployment[0].counts.fee: is missing: family uniswap_v3",
    ),
    "basis never seen": (
        'fee = "accrued"',
        'fee = "budgeted"',
        "deployment[0].counts.fee: is never seen as budgeted by",
    ),
    "none of what it sees": ('fee = "accrued"', 'fee = "none"', "deployment[0].counts.fee: is never seen as none by"),
    "kind of other families": (
        'fee = "accrued"',
        'fee = "accrued"\nincentive = "paid"',
        "deployment[0].counts.incentive: is unknown to family uniswap_v3: remove it, or write",
    ),
    "source missing": (
        'factory = "the first block of the demo chain"',
        "",
        "deployment[0].sources.factory: is missing: add the link or sentence that proves this fact",
    ),
    "surplus source": (
        'factory = "the first block of the demo chain"',
        'factory = "the first block of the demo chain"\nrouter = "some words about it"',
        "deployment[0].sources.router: belongs to no fact of this deployment: remove it",
    ),
    "plain http source": (
        "https://github.com",
        "http://github.com",
        "deployment[0].sources.start_block: must be an https",
    ),
    "source too short": (
        '"the first block of the demo chain"',
        '"trust me"',
        "deployment[0].sources.factory: must be an https",
    ),
    "key twice": (
        'name = "Good"',
        'name = "Good"\nname = "Better"',
        "good.toml: is not valid TOML: Cannot overwrite a value",
    ),
    "not TOML": ("[protocol]", "[protocol", "good.toml: is not valid TOML: "),
    "no protocol": (GOOD[: GOOD.index("[[deployment]]")], "", "good.toml: protocol: is missing: add it"),
    "no deployment": (GOOD[GOOD.index("[[deployment]]") :], "", "good.toml: deployment: is missing: add it"),
    "deployment a number": (GOOD[GOOD.index("[[deployment]]") :], "[[deployment.x]]", "deployment: must be a list"),
    "protocol a text": (
        GOOD[: GOOD.index("[[deployment]]")],
        'protocol = "x"\n',
        "good.toml: protocol: must be a table",
    ),
    "strange key": (
        'name = "Good"',
        'name = "Good"\n"a\\nb" = 1',
        "protocol.(a key with other characters than letters",
    ),
}


def test_known_to_be_none_is_kept_apart_from_unknown(tmp_path: Path) -> None:
    """A kind written "none" has no basis, and so counts as 0 in the views; a kind not written stays unknown."""
    file = tmp_path / "good.toml"
    file.write_text(GOOD.replace('fee = "accrued"', 'fee = "accrued"\nincentive = "none"', 1))
    (deployment, *_) = load_protocols([file], CHAINS)["good"].deployments
    assert deployment.counts == {Kind.FEE: Basis.ACCRUED, Kind.INCENTIVE: None}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_own_sentence(name: str, tmp_path: Path) -> None:
    """One change to a good file gives one line with file, place and remedy."""
    old, new, sentence = MISTAKES[name]
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].startswith("good.toml: ")
    assert sentence in found[0]
    assert found[0].isascii()


def test_no_two_mistakes_share_a_line(tmp_path: Path) -> None:
    """Ten mistakes in one file are ten lines."""
    wrong = GOOD
    chosen: tuple[str, ...] = (
        "category unknown",
        "number for a text",
        "unknown chain of a token",
        "token without checksum",
    )
    chosen += ("unknown chain", "text for a number", "unknown key", "lower case", "unknown basis", "source missing")
    for name in chosen:
        old, new, _ = MISTAKES[name]
        wrong = (
            wrong.replace(old, new, 1)
            if old in wrong
            else wrong.replace("start_block =", "birth = 1\nstart_block =", 1)
        )
    found = problems(tmp_path, wrong)
    assert len(found) == len(set(found)) == 10, found


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace('"dex"', '"casino"'), "not toml", GOOD.replace(FACTORY, FACTORY.lower()))
    assert [line.split(":")[0] for line in found] == ["good.toml", "good1.toml", "good2.toml", "good2.toml"]


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    big, latin, deep = tmp_path / "big.toml", tmp_path / "latin.toml", tmp_path / "deep.toml"
    big.write_bytes(b"#" * (MAX_OCTETS + 1))
    latin.write_bytes(b'name = "caf\xe9"')
    deep.write_text("x = " + "[" * 100_000)
    with pytest.raises(BadInput) as caught:
        load_protocols([big, latin, deep, tmp_path / "none.toml", tmp_path], CHAINS)
    said = caught.value.problems
    assert "big.toml: is larger than 1000000 octets" in said[0]
    assert "latin.toml: is not UTF-8 at octet 11" in said[1]
    assert "deep.toml: nests too deeply" in said[2]
    assert "none.toml: cannot be read (No such file or directory)" in said[3]
    assert "cannot be read (Is a directory)" in said[4]


def test_arities_are_kept(tmp_path: Path) -> None:
    """MANY wants one or more, OPTIONAL at most one, ANY takes none."""
    roles = {"many": Arity.MANY, "optional": Arity.OPTIONAL, "any": Arity.ANY}
    two = f'["{address(1)}", "{address(2)}"]'
    wrong = GOOD.replace(f'factory = "{FACTORY}"', f"many = []\noptional = {two}").replace("uniswap_v3", "fake")
    wrong = wrong.replace('factory = "the', 'many = "for a test"\noptional = "the')
    found = problems(tmp_path, wrong, families={"fake": fake("fake", roles)})
    assert len(found) == 2
    assert "contracts.many: has 0 addresses, family fake needs one or more" in found[0]
    assert "contracts.optional: has 2 addresses, family fake needs at most one" in found[1]


MISTAKEN_ROLE = (
    "deployment[0].contracts.router: is no contract of family uniswap_v3: remove it, or use one of factory, pools"
)


def test_a_missing_and_a_surplus_contract_are_told_with_their_sources(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD.replace('factory = "0x', 'router = "0x')) == [
        "good.toml: deployment[0].contracts.factory: has 0 addresses, family uniswap_v3 needs exactly one: correct it",
        f"good.toml: {MISTAKEN_ROLE}",
        "good.toml: deployment[0].sources.router: is missing: add the link or sentence that proves this fact",
        "good.toml: deployment[0].sources.factory: belongs to no fact of this deployment: remove it",
    ]


def test_an_address_twice_is_refused(tmp_path: Path) -> None:
    twice = f'pools = ["{address(1)}", "{address(1)}"]\n[deployment.counts]'
    found = problems(tmp_path, GOOD.replace("[deployment.counts]", twice) + 'pools = "pools of a test"\n')
    assert found == ["good.toml: deployment[0].contracts.pools: names an address twice: remove one"]


def test_an_own_token_twice_is_refused(tmp_path: Path) -> None:
    token = GOOD[GOOD.index("[[protocol.own") : GOOD.index("[[deployment]]")]
    found = problems(tmp_path, GOOD.replace(token, token * 2))
    assert found == ["good.toml: protocol.own_tokens[1]: names a token that is named above: remove one"]


DEPLOYMENT = GOOD[GOOD.index("[[deployment]]") :]
NAMED = DEPLOYMENT.replace("family =", 'name = "b"\nfamily =')


def test_two_deployments_need_names_of_their_own(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + DEPLOYMENT.replace(FACTORY, address(1)))
    assert found == ["good.toml: deployment[1]: has the chain and name of deployment[0]: give each a name of its own"]


def test_a_protocol_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for folder, factory in ((tmp_path, FACTORY), (tmp_path / "more", address(1))):
        (folder / "good.toml").write_text(GOOD.replace(FACTORY, factory))
    with pytest.raises(BadInput, match="protocol.id: good is also in another file read here") as caught:
        load_protocols([tmp_path / "good.toml", tmp_path / "more" / "good.toml"], CHAINS)
    assert len(caught.value.problems) == 1


def test_one_factory_cannot_be_claimed_twice(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + NAMED)
    contest = "deployment[1]: would claim the same PoolCreated logs as good.ethereum"
    assert found == [f"good.toml: {contest}: a log belongs to one deployment, so remove or narrow one of them"]


def test_claims_are_compared_across_files(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD, GOOD.replace('id = "good"', 'id = "good1"'))
    assert len(found) == 1
    assert "good1.toml: deployment[0]: would claim the same PoolCreated logs as good.ethereum" in found[0]


def test_a_contested_log_is_told_beside_other_mistakes(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace('"dex"', '"casino"') + NAMED)
    assert len(found) == 2
    assert "protocol.category" in found[0]
    assert "would claim the same" in found[1]


@pytest.mark.parametrize("other", [DEPLOYMENT.replace("ethereum", "base"), NAMED.replace(FACTORY, address(1))])
def test_other_chains_and_other_factories_are_no_contest(other: str, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD + other)
    assert len(load_protocols([tmp_path / "good.toml"], CHAINS)["good"].deployments) == 2


EVENT = "Paid(address indexed to, uint256 amount)"
ONE, TWO = bytes(19) + b"\1", bytes(19) + b"\2"
TOPIC, OTHER_TOPIC = bytes(31) + b"\1", bytes(31) + b"\2"
CONTESTS: list[tuple[bool, Family, Family]] = [
    (True, fake("a", {}, Subscription(EVENT, (ONE, TWO))), fake("b", {}, Subscription(EVENT, (TWO,)))),
    (
        True,
        fake("a", {}, Subscription(EVENT, (ONE,))),
        fake("b", {}, Subscription("Paid(address indexed, uint256)", (ONE,))),
    ),
    (False, fake("a", {}, Subscription(EVENT, (ONE,))), fake("b", {}, Subscription(EVENT, (TWO,)))),
    (
        False,
        fake("a", {}, Subscription(EVENT, (ONE,))),
        fake("b", {}, Subscription("Paid(address a, uint256 b)", (ONE,))),
    ),
    (
        False,
        fake("a", {}, Subscription(EVENT, (ONE,))),
        fake("b", {}, Subscription("Sold(address indexed a, uint256 b)", (ONE,))),
    ),
    (
        False,
        fake("a", {}, Subscription(EVENT, (ONE,), {1: (TOPIC,)})),
        fake("b", {}, Subscription(EVENT, (ONE,), {1: (OTHER_TOPIC,)})),
    ),
    (
        True,
        fake("a", {}, Subscription(EVENT, (ONE,), {1: (TOPIC,)})),
        fake("b", {}, Subscription(EVENT, (ONE,), {1: (OTHER_TOPIC, TOPIC)})),
    ),
    (True, fake("a", {}, Subscription(EVENT, (ONE,), {1: (TOPIC,)})), fake("b", {}, Subscription(EVENT, (ONE,)))),
    (False, fake("a", {}, Subscription(EVENT, None), anchor=ONE), fake("b", {}, Subscription(EVENT, None), anchor=ONE)),
    (True, fake("a", {}, Subscription(EVENT, None), anchor=ONE), fake("a", {}, Subscription(EVENT, None), anchor=ONE)),
    (False, fake("a", {}, Subscription(EVENT, None), anchor=ONE), fake("a", {}, Subscription(EVENT, None), anchor=TWO)),
    (
        True,
        fake("a", {}, Subscription(EVENT, None), anchor=ONE),
        fake("a", {}, Subscription(EVENT, (TWO,)), anchor=ONE),
    ),
    (
        False,
        fake("a", {}, Subscription(EVENT, None), anchor=ONE),
        fake("b", {}, Subscription(EVENT, (TWO,)), anchor=ONE),
    ),
]


@pytest.mark.parametrize(("contest", "one", "other"), CONTESTS)
def test_what_counts_as_the_same_log(contest: bool, one: Family, other: Family, tmp_path: Path) -> None:
    """Same topic0, topic count and topics that can agree, from a common emitter or from members of one contract."""
    plain = GOOD.replace(f'factory = "{FACTORY}"', "").replace('factory = "the first block of the demo chain"', "")
    row = plain[plain.index("[[deployment]]") :]
    first, second = (row.replace("uniswap_v3", name).replace("family =", f'name = "{name}"\nfamily =') for name in "xy")
    (tmp_path / "good.toml").write_text(plain[: plain.index("[[deployment]]")] + first + second)
    families = {"x": one, "y": other}
    if contest:
        with pytest.raises(BadInput, match=r"deployment\[1\]: would claim the same Paid logs as good.ethereum.x"):
            load_protocols([tmp_path / "good.toml"], CHAINS, families)
    else:
        load_protocols([tmp_path / "good.toml"], CHAINS, families)


DECISIVE: list[Callable[[Deployment], Deployment]] = [
    lambda held: replace(held, chain="base"),
    lambda held: replace(held, family="masterchef"),
    lambda held: replace(held, start_block=held.start_block + 1),
    lambda held: replace(held, contracts={"factory": (ONE,), "pools": ()}),
    lambda held: replace(held, contracts={**held.contracts, "pools": (ONE,)}),
]


def digest_of(held: Deployment) -> bytes:
    return digest(held.chain, held.family, held.start_block, held.contracts)


@pytest.mark.parametrize("change", DECISIVE)
def test_the_digest_follows_what_decides_flows(change: Callable[[Deployment], Deployment], tmp_path: Path) -> None:
    held = loaded(tmp_path)
    assert held.digest == digest_of(held)
    assert digest_of(change(held)) != held.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Good"', '"Better"'),
        ('fee = "accrued"', 'fee = "paid"'),
        ("the first block", "the second block"),
        ("at most 1", "at most 2"),
        ("family =", 'name = "main"\nfamily ='),
        ("[deployment.counts]", "pools = []\n[deployment.counts]"),
    ],
)
def test_the_digest_does_not_follow_words(old: str, new: str, tmp_path: Path) -> None:
    text = GOOD.replace(old, new, 1)
    assert (
        loaded(tmp_path, text + ('pools = "none at all here"\n' if "pools" in new else "")).digest
        == loaded(tmp_path).digest
    )


def test_the_digest_is_blind_to_the_order_of_addresses_and_stays_as_it_is() -> None:
    """The value is written into ledgers: whoever changes it makes every ledger index anew."""
    one, other = ({"pools": pools} for pools in ((ONE, TWO), (TWO, ONE)))
    assert digest("ethereum", "x", 1, one) == digest("ethereum", "x", 1, other)
    assert digest("ethereum", "x", 1, one).hex() == "8ba55b5f77dfd9a77ee28c956189e6c1e8ca12dc149bf45b88df76ed55e3debb"


OPTIONAL = f"""\
[protocol]
id = "good"
name = "Good"
category = "farm"
methodology = "Counts what is burned, and what is paid to stakers."
[[deployment]]
chain = "ethereum"
family = "erc20_flows"
start_block = 1
exactness = "exact in raw units"
[deployment.contracts]
tokens = "{UNI}"
[[deployment.options.transfer]]
to = "burn"
kind = "distribution"
source = "burn"
side = "holders"
basis = "paid"
why = "https://docs.uniswap.org/concepts/governance/overview"
[[deployment.options.transfer]]
from = "{FACTORY}"
kind = "incentive"
source = "gauge"
side = "supply"
basis = "paid"
why = "The contract pays its users so."
[deployment.counts]
distribution = "paid"
incentive = "paid"
[deployment.sources]
start_block = "the first block of all"
tokens = "https://docs.uniswap.org/concepts/governance/overview"
"""
OPTIONS = OPTIONAL[OPTIONAL.index("[[deployment.options") : OPTIONAL.index("[deployment.counts]")]
CONTRACTS = f'[deployment.contracts]\ntokens = "{UNI}"\n'
PLACE = "good.toml: deployment[0].options"


def test_options_are_held_in_the_familys_shape(tmp_path: Path) -> None:
    held = loaded(tmp_path, OPTIONAL)
    assert isinstance(held.options, FAMILIES["erc20_flows"].options)  # type: ignore[arg-type]
    assert FAMILIES["erc20_flows"].configured(held.options).kinds == {
        Kind.INCENTIVE: (Basis.PAID,),
        Kind.DISTRIBUTION: (Basis.PAID,),
    }
    assert pickle.loads(pickle.dumps(held)) == held
    assert loaded(tmp_path).options is None


WRONG_OPTIONS = {
    "missing": (OPTIONS, "", f"{PLACE}.transfer: is missing: add it"),
    "no table": (CONTRACTS + OPTIONS, f"options = 5\n{CONTRACTS}", f"{PLACE}: must be a table"),
    "a list": (CONTRACTS + OPTIONS, f"options = []\n{CONTRACTS}", f"{PLACE}: must be a table"),
    "unknown key": (OPTIONS, f"{OPTIONS}[deployment.options.more]\n", f"{PLACE}.more: is not a key known here"),
    "one rule for a list": ('[[deployment.options.transfer]]\nto = "b', '[deployment.options.transfer]\nto = "b', None),
    "key of a rule missing": ('source = "burn"\n', "", f"{PLACE}.transfer[0].source: is missing: add it"),
    "wrong word": ('side = "supply"', 'side = "left"', f"{PLACE}.transfer[1].side: must be 'supply', 'protocol' or"),
    "wrong address": (f'from = "{FACTORY}"', 'from = "0x1"', f"{PLACE}.transfer[1].from: '0x1' is no address"),
    "no proof": ('why = "The contract pays its users so."', 'why = "so"', f"{PLACE}.transfer[1].why: must be an https"),
    "uncounted kind": (
        'incentive = "paid"\n[',
        "[",
        "good.toml: deployment[0].counts.incentive: is missing: family erc20_flows sees it as paid",
    ),
    "basis that no rule has": (
        'distribution = "paid"',
        'distribution = "accrued"',
        "good.toml: deployment[0].counts.distribution: is never seen as accrued by family erc20_flows: use paid",
    ),
}


@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_a_mistake_in_options_has_its_own_sentence(name: str, tmp_path: Path) -> None:
    old, new, sentence = WRONG_OPTIONS[name]
    assert old in OPTIONAL
    (line,) = problems(tmp_path, OPTIONAL.replace(old, new, 1))
    assert line.startswith(sentence if sentence is not None else "good.toml: is not valid TOML")
    assert line.isascii()


def test_options_of_a_family_without_are_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, GOOD.replace("[deployment.counts]", "[deployment.options]\n[deployment.counts]"))
    assert line == "good.toml: deployment[0].options: are unknown to family uniswap_v3: remove the table"


def test_mistakes_of_options_stand_beside_others(tmp_path: Path) -> None:
    wrong = OPTIONAL.replace('"farm"', '"casino"').replace('side = "supply"', 'side = "left"')
    found = problems(tmp_path, wrong.replace('to = "burn"', 'to = "burned"'))
    assert [line.split(": ")[1] for line in found] == [
        "protocol.category",
        "deployment[0].options.transfer[0].to",
        "deployment[0].options.transfer[1].side",
    ]


COUNTS = 'distribution = "paid"\nincentive = "paid"\n'


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ('to = "burn"', f'to = "{address(5)}"', COUNTS),
        ('source = "burn"', 'source = "buyback"', COUNTS),
        ('kind = "incentive"', 'kind = "distribution"', 'distribution = "paid"\n'),
        ('side = "holders"', 'side = "protocol"', COUNTS),
        ('basis = "paid"', 'basis = "accrued"', COUNTS.replace("paid", "accrued", 1)),
        (OPTIONS, "".join(f"[[{rule}" for rule in OPTIONS.split("[[")[:0:-1]), COUNTS),
    ],
    ids=["whom", "source of the flow", "kind", "side", "basis", "order"],
)
def test_the_digest_follows_options(old: str, new: str, counts: str, tmp_path: Path) -> None:
    """Every word of a rule decides flows, and so does the order: legs are numbered by it."""
    assert old in OPTIONAL
    assert COUNTS in OPTIONAL
    changed = OPTIONAL.replace(old, new, 1).replace(COUNTS, counts)
    assert loaded(tmp_path, changed).digest != loaded(tmp_path, OPTIONAL).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('https://docs.uniswap.org/concepts/governance/overview"\n[[', 'https://example.org/a"\n[['),
        ("The contract pays its users so.", "It pays everybody so."),
    ],
)
def test_the_digest_does_not_follow_what_proves_options(old: str, new: str, tmp_path: Path) -> None:
    assert old in OPTIONAL
    assert loaded(tmp_path, OPTIONAL.replace(old, new, 1)).digest == loaded(tmp_path, OPTIONAL).digest


def test_proofs_within_options_are_left_out_and_sources_of_flows_are_not() -> None:
    """Under one key a manifest may hold the proof of a fact, or the source of a flow: a word of its closed list."""

    def of(**options: Any) -> bytes:
        return digest("ethereum", "x", 1, {}, options)

    assert of(a=[{"at": 5, "source": "https://a.org"}]) == of(a=[{"at": 5, "source": "read from its code"}])
    assert of(a=[{"at": 5}]) == of(a=[{"at": 5, "why": "read from its code"}])
    assert of(a={"source": "swap"}) != of(a={"source": "gauge"})
    assert of(where={"source": UNI}) != of(where={"source": FACTORY}) != of(where={"source": 5}) != of(where={})
    assert of(a=1) != of(a="1 ") != of(a=2)
    assert digest("ethereum", "x", 1, {}, {}) == digest("ethereum", "x", 1, {})


def test_rules_of_two_deployments_may_not_share_a_transfer(tmp_path: Path) -> None:
    """Within one deployment the order decides; between two nothing does, so that is refused."""
    head, row = OPTIONAL.split("[[deployment]]")
    contest = "deployment[1]: would claim the same Transfer logs as good.ethereum"
    named = row.replace("family =", 'name = "b"\nfamily =')
    assert problems(tmp_path, f"{head}[[deployment]]{row}[[deployment]]{named}")[0].startswith(f"good.toml: {contest}")
    apart = named.replace('to = "burn"', f'from = "{address(7)}"').replace(FACTORY, address(8))
    apart = apart.replace('from = "0x', f'to = "{FACTORY}"\nfrom = "0x')
    one = row.replace('to = "burn"', f'from = "{address(9)}"\nto = "burn"')
    (tmp_path / "good.toml").write_text(f"{head}[[deployment]]{one}[[deployment]]{apart}")
    assert len(load_protocols([tmp_path / "good.toml"], CHAINS)["good"].deployments) == 2


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from([FACTORY, "ethereum", "uniswap_v3"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def toml(value: Any) -> str:
    """A value in TOML's inline form."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
    return '"' + "".join(f"\\U{ord(sign) if not 0xD800 <= ord(sign) < 0xE000 else 63:08x}" for sign in str(value)) + '"'


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a tree."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [spot for key in keys for spot in spots(value[key])]


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_change_of_values_loads_or_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    """A good file with values replaced, removed or added raises BadInput with whole lines, or loads."""
    tree = tomllib.loads(data.draw(st.sampled_from((GOOD, OPTIONAL))))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(spots(tree)))
        if isinstance(container, dict) and data.draw(st.booleans()):
            container[data.draw(st.text(max_size=8))] = data.draw(JUNK)
        elif key in (container if isinstance(container, dict) else range(len(container))):
            container[key] = data.draw(JUNK)
    refused_or_loaded(tmp_path, "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tree.items()).encode())


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(at=st.integers(0, len(GOOD)), cut=st.integers(0, 20), junk=st.binary(max_size=6))
def test_any_change_of_octets_loads_or_is_refused(at: int, cut: int, junk: bytes, tmp_path: Path) -> None:
    octets = GOOD.encode()
    refused_or_loaded(tmp_path, octets[:at] + junk + octets[at + cut :])


def refused_or_loaded(folder: Path, octets: bytes) -> None:
    (folder / "good.toml").write_bytes(octets)
    try:
        load_protocols([folder / "good.toml"], CHAINS)
    except BadInput as refused:
        assert refused.problems
        assert all(
            line.startswith("good.toml: ") and line.isprintable() and len(line) < 1000 for line in refused.problems
        )
