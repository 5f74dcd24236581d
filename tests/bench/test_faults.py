"""The benchmark of faults: a tiny round of every kind is right in the end."""

from __future__ import annotations

import pytest

from indexer.ledger.embedded import EmbeddedPostgres

from . import faults
from .faulty import MIXED, Faults


def rows(report: str) -> dict[str, list[str]]:
    """Cells by the name of the row."""
    table = [line.split("|")[1:-1] for line in report.splitlines() if line.startswith("|")]
    return {name.strip(): [cell.strip() for cell in cells] for name, *cells in table}


def test_a_tiny_round_is_right(server: EmbeddedPostgres) -> None:
    """With a quarter of the answers wrong in every way every sum is that of the chain, and the faults were thrown."""
    small = ["--swaps=3000", "--blocks=120", "--pools=8"]
    found = rows(faults.main([*small, "--rates", "25", "--several=2"], server))
    assert list(found)[2:] == [f"{what}{at}" for at in ("", ", 2 endpoints") for what in ("no faults", "25 % mixed")]
    thrown = {name: int(cells[-2]) for name, cells in list(found.items())[2:]}
    assert [count > 0 for count in thrown.values()] == [False, True, False, True]
    assert int(found["25 % mixed"][3]) > int(found["no faults"][3])


def test_cases_cover_every_kind_alone() -> None:
    """Each kind at each rate, besides all of them mixed at one endpoint and at several; each row begins without."""
    wanted = faults.cases([2, 10], each=True, several=3)
    assert [case.rate for case in wanted] == [0, 2, 10] * (2 + len(MIXED))
    assert len({case for case in wanted if case.rate}) == 2 * (2 + len(MIXED))


@pytest.mark.parametrize("rate", [0, 2, 10])
def test_so_many_of_a_hundred_go_wrong_the_same_ones_each_time(rate: int) -> None:
    """The dice are seeded; what was asked before is counted."""
    told = []
    for _ in range(2):
        one = Faults()
        one.become({"rate": rate, "kinds": [], "seed": 3})
        told.append([one.meet(b'{"id":%d,"method":"eth_x","params":[%d]}' % (n, n // 2)) for n in range(2000)])
        assert (one.calls, one.again) == (2000, 1000)
        assert sum(one.thrown.values()) == sum(kind is not None for kind in told[-1])
        assert abs(sum(one.thrown.values()) - 20 * rate) <= 6 * rate
    assert told[0] == told[1]
