"""What is left to read, by counting blocks."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.chains import load_chains
from indexer.manifest import Deployment, load_protocols, packaged_manifests
from indexer.model import Span
from indexer.work.plan import planned

KNOWN = load_protocols(packaged_manifests(), load_chains())
DEX = next(one for one in KNOWN["uniswap_v3"].deployments if one.chain == "ethereum")
FARM = next(one for one in KNOWN["sushiswap"].deployments if one.family == "masterchef")
spans = st.builds(lambda first, more: Span(first, first + more), st.integers(0, 60), st.integers(0, 20))


def placed(one: Deployment, start: int) -> Deployment:
    return replace(one, start_block=start)


def blocks(held: list[Span] | tuple[Span, ...]) -> set[int]:
    return {block for span in held for block in range(span.first, span.last + 1)}


@given(spans, st.lists(spans, max_size=4), st.lists(spans, max_size=4), st.integers(0, 80), st.integers(0, 80))
def test_what_some_deployment_lacks_is_read_once(
    target: Span, held: list[Span], known: list[Span], start: int, other: int
) -> None:
    one, two = placed(DEX, start), replace(placed(DEX, other), id="other")
    found = planned([one, two], target, {one.id: held}, {one.id: known})
    lacking = {
        deployment.id: {block for block in blocks([target]) if block >= deployment.start_block} - blocks(mine)
        for deployment, mine in ((one, held), (two, []))
    }
    assert blocks(found.blocks) == lacking[one.id] | lacking[two.id]
    assert sum(map(len, found.blocks)) == len(blocks(found.blocks)), "no block twice"
    history = {
        block
        for deployment, mine in ((one, known), (two, []))
        if lacking[deployment.id]
        for block in range(deployment.start_block, target.last + 1)
        if block not in blocks(mine)
    }
    assert blocks(found.history) == history
    assert found.deepest == min(blocks(found.blocks) | history, default=None)
    assert bool(found.questions) == bool(found.blocks)


def test_a_family_without_parameters_needs_no_history() -> None:
    found = planned([placed(FARM, 10)], Span(50, 99), {}, {})
    assert (found.blocks, found.history, found.events, found.deepest) == ((Span(50, 99),), (), (), 50)
    dex = planned([placed(DEX, 10)], Span(50, 99), {}, {})
    assert (dex.history, dex.deepest) == ((Span(10, 99),), 10)
