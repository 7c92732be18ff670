"""Items of a core that are alike, collapsed to counts.

Where very many queries offer the same step, entering them one by one is slow and leads nowhere new. An item type
is taken some number of times: it enters as bundles of 1, 2, 4, ... copies, so that every number can be made of
them. That two items may belong to one query is left out of account, so that a bound holds; whether a solution can
be had from distinct queries is found out at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robatch.instances.arrays import FloatArray, IntArray

ALIKE = 1e-13  # items of equal cost whose utilities differ by less are one type, of the greater utility


@dataclass(frozen=True, slots=True)
class Bundles:
    """Bundles of item types, each a class of one item, by rising loss.

    Attributes
    ----------
    least, cost, utility
        Loss, incremental cost and incremental utility of each bundle.
    copies, kind
        Copies in each bundle, and its item type.
    member, begin
        The items, type by type, and where each type begins: (types + 1,).
    """

    least: FloatArray
    cost: FloatArray
    utility: FloatArray
    copies: IntArray
    kind: IntArray
    member: IntArray
    begin: IntArray

    def items(self, found: list[int], owner: IntArray) -> list[int] | None:
        """Return items of distinct classes for the bundles found, None if this way finds none."""
        wanted = np.bincount(self.kind[found], self.copies[found], len(self.begin) - 1).astype(np.int64)
        spare = np.diff(self.begin) - wanted
        used: set[int] = set()
        items: list[int] = []
        for kind in sorted(np.flatnonzero(wanted).tolist(), key=lambda kind: int(spare[kind])):
            left = int(wanted[kind])
            for item in self.member[self.begin[kind] : self.begin[kind + 1]].tolist():
                if left and int(owner[item]) not in used:
                    used.add(int(owner[item]))
                    items.append(item)
                    left -= 1
            if left:
                return None
        return items


def bundle(price: float, limit: float, cost: FloatArray, utility: FloatArray) -> Bundles:
    """Collapse items to bundles.

    Parameters
    ----------
    price, limit
        The shadow price, and the loss from which on nothing is of use.
    cost, utility
        Incremental cost, as whole numbers, and incremental utility of the items.
    """
    member = np.lexsort((utility, cost))
    by_cost, by_utility = cost[member], utility[member]
    new = np.ones(len(member), dtype=np.bool_)
    new[1:] = (np.diff(by_cost) != 0) | (np.diff(by_utility) > ALIKE)
    begin = np.append(np.flatnonzero(new), len(member))
    count = np.diff(begin)
    cost, utility = by_cost[begin[:-1]], by_utility[begin[1:] - 1]
    loss = np.maximum(price * cost - utility, 0.0)
    # of a type with a loss, no more copies are of use than stay below the limit
    useful = np.divide(limit, loss, out=np.full(len(loss), np.inf), where=loss > 0.0)
    left = np.clip(useful, 1, count).astype(np.int64)
    kinds, copies, size = [], [], 1
    while (left > 0).any():
        some = np.flatnonzero(left)
        part = np.minimum(left[some], size)
        kinds.append(some)
        copies.append(part)
        left[some] -= part
        size *= 2
    kind, number = np.concatenate(kinds), np.concatenate(copies)
    order = np.lexsort((np.abs(cost[kind] * number), loss[kind] * number))  # small steps first, up and down
    kind, number = kind[order], number[order]
    return Bundles(loss[kind] * number, cost[kind] * number, utility[kind] * number, number, kind, member, begin)
