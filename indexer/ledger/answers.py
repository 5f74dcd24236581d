"""What feeds answered, per aggregator and day: what range_answer holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from indexer.decode import wide
from indexer.model import Answers

_DAY = 86_400


class AnswerDay(NamedTuple):
    """Answers of one aggregator on one day (days since 1970), in chain order, each with its log."""

    day: int
    contract: bytes
    token: bytes
    decimals: int
    blocks: list[int]
    log_indexes: list[int]
    answers: list[int]


def answer_days(batches: Sequence[Answers]) -> list[AnswerDay]:
    """One AnswerDay per aggregator and day of a deployment's answers in a range."""
    return [day for answers in batches for day in _answer_days(answers)]


def _answer_days(answers: Answers) -> list[AnswerDay]:
    where = answers.where
    places = np.stack([where.time // _DAY, where.emitter], axis=1)
    found = []
    for day, emitter in np.unique(places, axis=0).tolist():
        rows = np.flatnonzero((places == (day, emitter)).all(axis=1))
        found.append(
            AnswerDay(
                day,
                where.emitters[emitter].tobytes(),
                answers.token,
                answers.decimals,
                where.block[rows].tolist(),
                where.log_index[rows].tolist(),
                wide.to_ints(answers.value[rows]),
            )
        )
    return found
