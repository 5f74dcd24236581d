"""What check, status and protocols look at: parts joined only to be looked at, nothing is made or migrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from indexer import app
from indexer.chain.chains import Chain
from indexer.chain.limits import Limits
from indexer.errors import BadInput, IndexerError
from indexer.ledger import context, ranges
from indexer.ledger.connect import Database
from indexer.ledger.migrate import pending
from indexer.ledger.standing import server_version
from indexer.manifest import Deployment
from indexer.settings import ChainSettings, RpcSettings, Settings
from indexer.storage import behind, reached, where_of
from indexer.work.check import ATTEMPTS, Finding, State, Wish, check_endpoint, faulted
from indexer.work.estimate import estimate
from indexer.work.feeds import is_feed
from indexer.work.progress import Estimate

SAMPLE = 9  # questions: check has more time than a run to know what it will cost


@dataclass(slots=True)
class Survey:
    """What check found. costs: of each chain whose endpoints answered."""

    findings: list[Finding] = field(default_factory=list)
    costs: list[Estimate] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code of the worst finding; 0 if all is well."""
        return max((finding.code for finding in self.findings), default=0)


async def survey(settings: Settings) -> Survey:
    """Looks at everything a run needs, and at every endpoint by itself; every problem is told."""
    found = Survey()
    chains, wanted = _wanted(settings, found.findings)
    async with AsyncExitStack() as stack:
        database = await _database(settings, found.findings, stack)
        for name, deployments in wanted.items():
            await _chain(found, chains[name], settings, deployments, database)
    return found


def _wanted(settings: Settings, findings: list[Finding]) -> tuple[Mapping[str, Chain], dict[str, list[Deployment]]]:
    """Chains by name, and what to read of those with an endpoint: nothing where the manifests are wrong."""
    chains = app.chains_of(settings, [])
    asked: dict[str, list[Deployment]] = {
        name: [] for name, one in settings.chains.items() if one.rpc and name in chains
    }
    try:
        known = app.catalogue(settings)
        count = sum(len(protocol.deployments) for protocol in known.protocols.values())
        findings.append(
            Finding("manifests", "", State.OK, f"{len(known.protocols)} protocols in {count} deployments, all in order")
        )
        asked = app.wanted(settings, known)
        names = sorted({one.protocol for members in asked.values() for one in members if not is_feed(one)})
        findings.append(Finding("to read", "", State.OK, f"{', '.join(names)} on {', '.join(asked)}"))
    except BadInput as fault:
        findings += [Finding("settings", "", State.WRONG, problem, fault.exit_code) for problem in fault.problems]
    return chains, asked


async def _database(settings: Settings, findings: list[Finding], stack: AsyncExitStack) -> Database | None:
    """The ledger, if there is one that a run could go on with; what is wrong with it is a finding."""
    try:
        database = await stack.enter_async_context(reached(settings, "indexer"))
        todo = None if database is None else await pending(database)
    except IndexerError as error:
        findings.append(faulted("database", "", error))
        return None
    where = where_of(settings, "indexer")
    if database is None or todo is None:
        findings.append(Finding("database", "", State.OK, f"{where}: the next run makes its tables"))
        return None
    server = await server_version(database)
    state = "up to date" if not todo else f"{behind(todo)}, which the next run mends"
    findings.append(Finding("database", "", State.OK, f"{where}: Postgres {server}, {state}"))
    return database if not todo else None


async def _chain(
    found: Survey, chain: Chain, settings: Settings, deployments: Sequence[Deployment], database: Database | None
) -> None:
    wish = await _wish(chain, settings, [one for one in deployments if not is_feed(one)], database)
    given = settings.chains[chain.name]
    limits: dict[str, Limits] = {}
    good: list[RpcSettings] = []
    for rpc in given.rpc:
        alone = given.model_copy(update={"rpc": (rpc,)})
        seen, learned = await _endpoint(chain, alone, wish, database)
        found.findings += [one for one in seen if one not in found.findings]
        limits |= learned
        if not any(one.code for one in seen):
            good.append(rpc)
    if good and wish.span is not None and any(plan.blocks for plan in wish.plans):
        await _cost(found, chain, given.model_copy(update={"rpc": tuple(good)}), wish, limits)


async def _endpoint(
    chain: Chain, given: ChainSettings, wish: Wish, database: Database | None
) -> tuple[list[Finding], dict[str, Limits]]:
    """Findings about one endpoint, and the limits it taught, which the ledger remembers."""
    pool = app.pool_of(chain, given, attempts=ATTEMPTS)
    try:
        findings = [finding async for finding in check_endpoint(pool, wish)]
        limits = pool.limits_by_fingerprint
        if database is not None:
            for name, learned in limits.items():
                await context.put_endpoint_limit(database, name, learned.as_dict())
        return findings, limits
    finally:
        await pool.close()


async def _cost(found: Survey, chain: Chain, given: ChainSettings, wish: Wish, limits: Mapping[str, Limits]) -> None:
    pool = app.pool_of(chain, given, attempts=ATTEMPTS)
    pool.restore(limits)
    try:
        if wish.span is not None:
            found.costs.append(await estimate(pool, wish.plans, wish.span, SAMPLE, old_state=wish.old_state))
    except IndexerError as error:
        found.findings.append(faulted(chain.name, "cost", error))
    finally:
        await pool.close()


async def _wish(chain: Chain, settings: Settings, deployments: Sequence[Deployment], database: Database | None) -> Wish:
    if database is None:
        return Wish(settings, deployments)
    names = [one.id for one in deployments]
    return Wish(
        settings,
        deployments,
        await ranges.held_hull(database, chain.chain_id, names),
        await ranges.held(database, chain.chain_id, names),
        await context.histories(database, chain.chain_id, names),
    )
