"""eth_calls that classification needs: answered by the archive where it has them, else asked and kept."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.chain.calls import Call, multicall
from indexer.work.archived import FACTS, STATE
from indexer.work.group import Group


async def ask_facts(group: Group, calls: Sequence[Call], block: int | str) -> list[bytes | None]:
    """Answers that hold at any block, asked at this one if need be; None for a revert or an empty answer."""
    known = {} if group.archive is None else await group.archive.facts(calls)
    for (contract, _), told in known.items():
        group.told_at[contract] = told.block
    answers = {call: told.answer for call, told in known.items()}
    left = [call for call in dict.fromkeys(calls) if call not in answers]
    if left and group.gaps is not None:
        group.gaps.note_calls(left, None)
    elif left:
        answers |= await _ask(group, FACTS, left, block)
    return [answers.get(call) for call in calls]


async def ask_state(group: Group, calls: Sequence[Call], block: int | str) -> list[bytes | None]:
    """Answers as of a block; None as above."""
    assert isinstance(block, int)
    answers = {} if group.archive is None else await group.archive.state(block)
    left = [call for call in dict.fromkeys(calls) if call not in answers]
    if left and group.gaps is not None:
        group.gaps.note_calls(left, block)
    elif left:
        answers |= await _ask(group, STATE, left, block)
    return [answers.get(call) for call in calls]


async def _ask(group: Group, holds: str, calls: Sequence[Call], block: int | str) -> dict[Call, bytes | None]:
    answers = dict(zip(calls, await multicall(group.pool, calls, block), strict=True))
    if group.archive is not None:
        assert isinstance(block, int)
        await group.archive.keep_answers(holds, block, answers)
    return answers
