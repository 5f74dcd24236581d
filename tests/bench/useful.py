"""What the questions of one deployment alone would bring from a mixed chain, and what of it is its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from indexer.chain.chains import load_chains
from indexer.chain.planner import Shape, shapes
from indexer.manifest import Deployment, load_protocols, packaged_manifests
from indexer.model import Subscription
from indexer.work.feeds import is_feed, priced_by
from indexer.work.group import subscriptions

from .mixed_chain import MixedChain
from .mixed_world import CHAIN, feeds, priced_tokens
from .world import padded


@dataclass(frozen=True, slots=True)
class Alone:
    """Logs that its questions would bring, and those of its own contracts among them."""

    received: int
    useful: int


def alone(chain: MixedChain) -> dict[str, Alone]:
    """By deployment; the feeds that are read along count as one."""
    wanted: dict[str, list[Subscription]] = {}
    starts: dict[str, int] = {}
    for one in _read():
        name = f"{one.protocol}, all feeds" if is_feed(one) else one.id
        wanted.setdefault(name, []).extend(subscriptions(one if not is_feed(one) else _phase(one)))
        starts[name] = one.start_block
    venues = {venue.deployment: venue for venue in (*chain.three, *chain.two)}
    found = {}
    for name, events in wanted.items():
        sent = [_sent(chain, shape, starts[name]) for shape in shapes(events)]
        mine = np.any(sent, axis=0)
        if name in venues:
            own = (venues[name].factory, *(pool.address for pool in venues[name].pools))
            mine &= np.isin(chain.emitter, _ids(chain, map(padded, own)))
        found[name] = Alone(sum(int(rows.sum()) for rows in sent), int(mine.sum()))
    return found


def _read() -> list[Deployment]:
    """The packaged deployments that a run without further settings reads."""
    protocols = load_protocols([*packaged_manifests()], load_chains()).values()
    every = [one for protocol in protocols for one in protocol.deployments if one.chain == CHAIN]
    return [one for one in every if not is_feed(one) or priced_by(one) in priced_tokens()]


def _phase(feed: Deployment) -> Deployment:
    """The feed with the aggregator that its proxy tells."""
    _, aggregator = feeds()[feed.contracts["proxy"][0]]
    return replace(feed, contracts={**feed.contracts, "aggregator": (aggregator,)})


def _sent(chain: MixedChain, shape: Shape, start: int) -> np.ndarray:
    """(n,): which logs a question brings."""
    rows = chain.block + chain.base_block >= start
    if shape.emitters is not None:
        rows &= np.isin(chain.emitter, _ids(chain, map(padded, shape.emitters)))
    for position, values in enumerate(shape.topics):
        topic = chain.topics[:, position]
        rows &= topic >= 0 if values is None else np.isin(topic, _ids(chain, values))
    return rows


def _ids(chain: MixedChain, words: Iterable[bytes]) -> list[int]:
    return [chain.words[one] for one in words if one in chain.words]
