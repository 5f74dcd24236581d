"""Whose contract is it? Emitters met for the first time are asked once, and the answer is kept with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import structlog

from indexer.chain.questions import Answer, ask_each
from indexer.errors import BadInput
from indexer.families.interface import Claim
from indexer.ledger import context
from indexer.manifest import Deployment
from indexer.model import Address, Evidence, Member
from indexer.work.asking import ask_facts
from indexer.work.classify import Matched
from indexer.work.group import Facts, Group, family_of

Answers = Mapping[Address, Mapping[str, Answer]]

log = structlog.get_logger()


async def learn(group: Group, matched: Mapping[str, Matched], asked_at: int) -> dict[str, list[Member]]:
    """Makes every emitter of the matched logs known to `group`; the members that the logs themselves announced.

    asked_at: the block at which unknown contracts are asked, a final one at or after the logs.
    """
    deployments = [one for one in group.deployments if one.id in matched]
    announced = {one.id: family_of(one).announced(matched[one.id].batches) for one in deployments}
    for name, members in announced.items():
        group.members.setdefault(name, {}).update({member.contract: member.facts for member in members})
    asking = [one for one in deployments if family_of(one).questions]
    if any(_unmet(group, one, matched[one.id]) for one in asking):
        async with group.asking:
            await _meet(group, asking, matched, asked_at)
    return announced


def _unmet(group: Group, deployment: Deployment, matched: Matched) -> set[Address]:
    """Emitters that are not known from memory, but for the contract that decides who is a member."""
    anchor = family_of(deployment).anchor(deployment.contracts)
    return matched.emitters() - group.members.setdefault(deployment.id, {}).keys() - {anchor}


async def _meet(group: Group, deployments: Sequence[Deployment], matched: Mapping[str, Matched], asked_at: int) -> None:
    """Looks the unmet ones up in the ledger and asks those that it does not know."""
    unknown = {}
    for one in deployments:
        unmet = sorted(_unmet(group, one, matched[one.id]))
        known = await context.contracts(group.database, group.chain_id, one.id, unmet) if unmet else {}
        group.members[one.id].update(known)
        unknown[one.id] = {contract for contract in unmet if contract not in known}
    strangers = sorted(set().union(*unknown.values()))
    if strangers:
        await _ask(group, unknown, strangers, asked_at)


async def _ask(group: Group, unknown: Mapping[str, set[Address]], strangers: list[Address], block: int) -> None:
    """Asks every stranger the questions of those who met it, each once, whoever wants to know."""
    wanting = [one for one in group.deployments if unknown.get(one.id)]
    asked: dict[Address, dict[str, None]] = {stranger: {} for stranger in strangers}
    for one in wanting:
        for stranger in unknown[one.id]:
            asked[stranger] |= dict.fromkeys(family_of(one).questions)
    answers = await ask_each(partial(ask_facts, group), asked, block)
    claims = {
        one.id: {contract: _claim(one, contract, answers) for contract in sorted(unknown[one.id])} for one in wanting
    }
    vouched = await _vouched(group, claims, block)
    for deployment in wanting:
        members = [
            Member(
                contract,
                claim.facts if claim is not None and (deployment.id, contract) in vouched else None,
                Evidence(group.told_at.get(contract, block)),
            )
            for contract, claim in claims[deployment.id].items()
        ]
        if not group.gaps:  # what the archive lacks proves nothing
            _refuse_named(deployment, members)
            _tell(deployment, members, answers)
        await context.put_contracts(group.database, group.chain_id, deployment.id, members)
        group.members[deployment.id].update({member.contract: member.facts for member in members})


def _tell(deployment: Deployment, members: Iterable[Member], answers: Answers) -> None:
    """Says how many are turned away, and which of them had no answer to any question."""
    strangers = [member.contract for member in members if member.facts is None]
    silent = [f"0x{one.hex()}" for one in strangers if not any(answers[one].values())]
    if strangers:
        log.info("contracts turned away", deployment=deployment.id, contracts=len(strangers), without_an_answer=silent)


def _refuse_named(deployment: Deployment, members: Iterable[Member]) -> None:
    """One that the manifest names and that cannot prove what it is said to be is the manifest's mistake."""
    named = {contract for held in deployment.contracts.values() for contract in held}
    wrong = [member.contract for member in members if member.facts is None and member.contract in named]
    if wrong:
        raise BadInput(
            [
                f"{deployment.id}: contract 0x{contract.hex()} is named in the manifest, but is none of "
                f"{deployment.family} that the other contracts know: correct it."
                for contract in wrong
            ]
        )


def _claim(deployment: Deployment, contract: Address, answers: Answers) -> Claim | None:
    family = family_of(deployment)
    return family.admit(deployment.contracts, contract, [answers[contract][text] for text in family.questions])


async def _vouched(
    group: Group, claims: Mapping[str, Mapping[Address, Claim | None]], block: int
) -> set[tuple[str, Address]]:
    """Deployments and contracts whose claim needs no proof, or whose proof holds at the block."""
    made = {
        (name, contract): claim.proof
        for name, claimed in claims.items()
        for contract, claim in claimed.items()
        if claim is not None
    }
    asked = {one: proof for one, proof in made.items() if proof is not None}
    answers = await ask_facts(group, [(proof.target, proof.data) for proof in asked.values()], block) if asked else []
    proven = {one for (one, proof), found in zip(asked.items(), answers, strict=True) if found == proof.expected}
    return proven | {one for one, proof in made.items() if proof is None}


def own(group: Group, deployment: Deployment, contracts: Iterable[Address]) -> dict[Address, Mapping[str, int | bytes]]:
    """Facts of those contracts that are the deployment's own."""
    known: Mapping[Address, Facts] = group.members.get(deployment.id, {})
    found = {contract: known.get(contract) for contract in contracts}
    return {contract: facts for contract, facts in found.items() if facts is not None}
