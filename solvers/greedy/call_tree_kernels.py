"""Numba kernels of a tree over call counts: boxes of call counts, solved at a price, and their children.

A cell is a state within a group: its queries share calls. In a box, each cell may have from `low` to `high` calls. At a
price of USD, the best that the queries can do in a box, if a place in a call beyond the lowest number costs its share
of a full call, is a transportation problem with few sinks, the cells: it is solved from the parent's assignment by
cheapest augmenting paths over the states, whose arcs are the cheapest query to move between two states (Ford and
Fulkerson, "Flows in Networks", 1962); after the price changed, negative cycles are cancelled first (Klein, Management
Science 14, 1967). Any price gives a bound.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import config

from robatch.instances.arrays import Array, FloatArray, IntArray
from robatch.instances.compilation import njit

FAR = 1e300
CROWDED = 1e15  # what it is worth to leave a cell without room
NOISE = 1e-13  # a shorter path is shorter by more than this
ROUNDING = 1e-15  # relative, of what USD are worth
MOST_TRIES = 60  # prices in a node of a leaf's search
CLOSE = 1e-3  # of the distance from bound to plan: how close that search comes to a node's lowest bound
PAST = 1.0 + 1e-7  # times the way to where a tangent promises nothing better
TINY = 1e-6  # times the least price: 0
MOST_REPAIRS = 100  # of cycles that rounding makes negative, where many assignments tie
PATH_WORK, SCAN_WORK = 2.0, 5.0  # units of about a nanosecond: of a path, a pair of states; of a query of a cell
DONE, LEAF, LIMIT, NO_ROOM, ROUNDED = 0, 1, 2, 3, 4  # why `grow` returns
REACHED, CURVE, WORK, LOST = 0, 1, 2, 3  # of `Tree.now`
STEEPEST = 20.0  # change of price a USD, at most, times what it is thought to be
MOST_CHANGE, MOST_RISE = 0.8, 1.0  # of a price, relative, in one step


QUERY = np.dtype([(name, np.int64) for name in ("state", "first", "begin", "end", "whole", "after", "before")])
"""State; first cell of its group; where its candidates begin and end, and end if none is taken away; its
neighbours in the list of its cell."""

CELL = np.dtype(
    [(name, np.int64) for name in ("fixed", "places", "low", "high", "least", "most")]
    + [(name, np.int64) for name in ("calls", "count", "head", "following")]
    + [(name, np.float64) for name in ("price", "unit", "leave", "rate")]
)
"""Queries that cannot move; batch size, or how many queries could be here if that is less; the box at hand; how many
queries must and may be here, which only the search of a leaf limits; the leaf's calls; queries; the first that can
move; next state on the way to a place. USD of a call; what a place in a further call costs, in utility; what leaving
gains; what a place is worth in a leaf."""

PAIR = np.dtype([(name, np.float64) for name in ("utility", "own")])
"""Utility and token cost in USD of a query in a state."""

NOW = np.dtype(
    [(name, np.float64) for name in ("budget", "fixed", "tolerance", "floor", "least_price", "first_curve")]
    + [(name, np.int64) for name in ("changes", "open", "made")]
    + [(name, np.float64) for name in ("reached", "curve", "work", "lost", "utility", "own", "bound", "over")]
)
"""What is asked: USD for calls and for the queries that can move; utility of those that cannot; utility that a box must
promise beyond the best plan; what a plan is thought to reach while there is none; a price in place of 0; relative
change of price a USD, as it is thought to be; changes of price in a box. What is known: boxes that are open, and that
were made; the best plan's utility; the change of price a USD; work; the highest bound of a closed box;
utility and token cost of the assignment at hand; bound of the box at hand, and USD of its bill above the budget."""

NODE = np.dtype([("bound", np.float64), ("price", np.float64), ("key", np.float64), ("order", np.int64)])
"""Of the box in a slot: bound, price, and bound less what the bill's distance from the budget costs at least. `order`
is apart: its first entries are the slots of the open boxes, the others are free."""

STEP = np.dtype(
    [(name, np.int64) for name in ("query", "cell", "to", "fewer", "second", "old", "older")]
    + [(name, np.float64) for name in ("bound", "price", "here", "slope")]
)
"""A branch of a leaf's search: the query that takes the state `to` or not; or, unless it is -1, the cell of at most
`to` queries or more, and whether fewer is what the assignment within the budget has. Whether the second part is at
hand; what was limited before. Bound; a price below that of the bound, the bound there, and USD that are left."""

BOX = np.dtype([("low", np.int32), ("high", np.int32)])
"""Least and greatest number of calls of a cell."""


def records(shape: int | tuple[int, ...], dtype: np.dtype[np.void]) -> Array:
    """Return an array of records of zeros, whose fields are attributes even where nothing is compiled."""
    made = np.zeros(shape, dtype=dtype)
    return made.view(np.recarray) if config.DISABLE_JIT else made


class Core(NamedTuple):
    """The queries that can move, sorted by group, and an assignment of them, which changes in place."""

    queries: Array  # of QUERY: (M,)
    options: Array  # states of the candidates: (P,)
    pairs: Array  # of PAIR: (M, S)
    value: FloatArray  # utility less price times token cost: (M, S)
    cells: Array  # of CELL, those of each group in a row: (groups * S,)
    distance: FloatArray  # least loss of moving a query of a cell on to a place: (groups * S,)
    loss: FloatArray  # least loss of moving a query from a cell to another state: (groups * S, S)
    mover: IntArray  # and that query, -1 for none: (groups * S, S)
    spare: IntArray  # work space: (2, S)
    lost: IntArray  # work space: (S,)
    now: Array  # of NOW: (1,)


class Tree(NamedTuple):
    """The open boxes."""

    nodes: Array  # of NODE: (slots,)
    boxes: Array  # of BOX: (slots, groups * S)
    states: Array  # best assignment of each box: (slots, M)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def lay(price: float, solved: bool, core: Core) -> None:
    """Set up values, lists, arcs and sums of the assignment at hand at a price.

    Where it was `solved` at another price, queries move at once between cells that have neither too many nor too few.
    """
    queries, options, pairs, value = core.queries, core.options, core.pairs, core.value
    cells, loss, mover, now = core.cells, core.loss, core.mover, core.now[0]
    width = pairs.shape[1]
    for c in range(cells.size):
        n, size = cells[c].count, cells[c].places
        cells[c].following = solved and cells[c].low * size < n < cells[c].high * size
        cells[c].count, cells[c].head = cells[c].fixed, -1
        cells[c].unit = price * cells[c].price / cells[c].places
        for t in range(width):
            loss[c, t], mover[c, t] = FAR, -1
    utility, own = 0.0, 0.0
    for i in range(queries.size - 1, -1, -1):
        s, base = queries[i].state, queries[i].first
        for z in range(queries[i].begin, queries[i].end):
            t = options[z]
            value[i, t] = pairs[i, t].utility - price * pairs[i, t].own
        if cells[base + s].following > 0:
            most = value[i, s] - cells[base + s].unit + NOISE
            for z in range(queries[i].begin, queries[i].end):
                t = options[z]
                if cells[base + t].following > 0 and value[i, t] - cells[base + t].unit > most:
                    most, s = value[i, t] - cells[base + t].unit, t
            queries[i].state = s
        c = base + s
        utility += pairs[i, s].utility
        own += pairs[i, s].own
        cells[c].count += 1
        first = cells[c].head
        queries[i].after, queries[i].before, cells[c].head = first, -1, i
        if first >= 0:
            queries[first].before = i
        here = value[i, s]
        for z in range(queries[i].begin, queries[i].end):
            t = options[z]
            if t != s and here - value[i, t] < loss[c, t]:
                loss[c, t], mover[c, t] = here - value[i, t], i
    now.utility, now.own = utility, own


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def move(i: int, t: int, core: Core) -> None:
    """Move a query to a state, and keep lists, arcs and sums."""
    queries, options, pairs, value = core.queries, core.options, core.pairs, core.value
    cells, loss, mover, lost, now = core.cells, core.loss, core.mover, core.lost, core.now[0]
    s, base = queries[i].state, queries[i].first
    c, d = base + s, base + t
    now.utility += pairs[i, t].utility - pairs[i, s].utility
    now.own += pairs[i, t].own - pairs[i, s].own
    ahead, behind = queries[i].before, queries[i].after
    if ahead >= 0:
        queries[ahead].after = behind
    else:
        cells[c].head = behind
    if behind >= 0:
        queries[behind].before = ahead
    first = cells[d].head
    queries[i].after, queries[i].before, cells[d].head, queries[i].state = first, -1, i, t
    if first >= 0:
        queries[first].before = i
    cells[c].count -= 1
    cells[d].count += 1
    here = value[i, t]
    found = 0
    for z in range(queries[i].begin, queries[i].end):
        y = options[z]
        if y != t and here - value[i, y] < loss[d, y]:
            loss[d, y], mover[d, y] = here - value[i, y], i
        if mover[c, y] == i:
            loss[c, y], mover[c, y], lost[found] = FAR, -1, y
            found += 1
    if found == 0:
        return
    now.work += SCAN_WORK * (cells[c].count - cells[c].fixed)
    j = cells[c].head
    while j >= 0:
        here = value[j, s]
        for x in range(found):
            y = lost[x]
            if here - value[j, y] < loss[c, y]:
                loss[c, y], mover[c, y] = here - value[j, y], j
        j = queries[j].after


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"}, inner=True)
def least(loss: FloatArray, distance: FloatArray) -> float:
    """Return the least sum of a loss and a distance: (S,) each."""
    found = FAR
    for t in range(loss.size):
        found = min(found, loss[t] + distance[t])
    return found


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def relax(base: int, width: int, core: Core) -> int:
    """Relax the distances of a group's cells over the arcs; return a state on a negative cycle, -1 if there is none."""
    cells, loss, distance, spare, now = core.cells, core.loss, core.distance, core.spare, core.now[0]
    rows = 0
    for s in range(width):
        if cells[base + s].count > cells[base + s].fixed:
            spare[0, rows] = s
            rows += 1
    here = distance[base : base + width]
    for number in range(width + 2):
        changed = False
        now.work += PATH_WORK * rows * width
        for x in range(rows):
            s = spare[0, x]
            found = least(loss[base + s], here)
            if found < here[s] - NOISE:
                t = 0
                while loss[base + s, t] + here[t] > found:
                    t += 1
                here[s], cells[base + s].following, changed = found, t, True
        if not changed:
            return -1
        if number > 1:
            s = around(base, width, core)
            if s >= 0:
                return int(s)
    return -1


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def around(base: int, width: int, core: Core) -> int:
    """Return a state on a cycle of cells that follow each other, -1 if there is none."""
    cells, spare = core.cells, core.spare
    for s in range(width):
        spare[1, s] = 0
    for first in range(width):
        s = first
        while s >= 0 and spare[1, s] == 0:
            spare[1, s] = first + 1
            s = cells[base + s].following
        if s >= 0 and spare[1, s] == first + 1:
            return s
    return -1


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def cancel(base: int, width: int, core: Core) -> bool:
    """Cancel negative cycles of a group's arcs until its assignment is best for the counts of its cells."""
    queries, cells, mover, distance, spare = core.queries, core.cells, core.mover, core.distance, core.spare
    for _ in range(20 * queries.size + 100):
        for s in range(width):
            distance[base + s], cells[base + s].following = 0.0, -1
        at = relax(base, width, core)
        if at < 0:
            return True
        length, s = 0, at
        while length == 0 or s != at:  # who moves, before anyone does
            t = cells[base + s].following
            spare[0, length], spare[1, length] = mover[base + s, t], t
            s, length = t, length + 1
        for x in range(length):
            move(spare[0, x], spare[1, x], core)
    return False


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def settle(base: int, width: int, core: Core) -> int:
    """Move a group's queries along cheapest paths until the places of the box are used best.

    Returns 1 if they are, 0 if the box has no room for them, -1 if rounding stood in the way.
    """
    queries, cells, mover, distance = core.queries, core.cells, core.mover, core.distance
    repairs = 0
    for _ in range(6 * queries.size + 100):
        crowded, short = False, False
        for c in range(base, base + width):
            crowded |= cells[c].count > min(cells[c].high * cells[c].places, cells[c].most)
            short |= cells[c].count < cells[c].least
        short &= not crowded
        for c in range(base, base + width):
            n, size = cells[c].count, cells[c].places
            low, high = min(cells[c].low * size, cells[c].most), min(cells[c].high * size, cells[c].most)
            distance[c] = 0.0 if n < low else cells[c].unit if n < high else FAR
            cells[c].leave = CROWDED if n > high else cells[c].unit if n > low else 0.0
            if short:
                distance[c] = 0.0 if n < cells[c].least else FAR
                cells[c].leave = CROWDED
            if n <= cells[c].least:
                cells[c].leave = -FAR
            cells[c].following = -1
        if relax(base, width, core) >= 0:
            repairs += 1
            if repairs > MOST_REPAIRS or not cancel(base, width, core):
                return -1
            continue
        chosen, gain = -1, NOISE
        for c in range(base, base + width):
            occupied = cells[c].count > cells[c].fixed and distance[c] < FAR
            if occupied and cells[c].leave - distance[c] > gain:
                chosen, gain = c, cells[c].leave - distance[c]
        if chosen < 0:
            return 0 if crowded or short else 1
        length = 0
        while cells[chosen].following >= 0:
            t = cells[chosen].following
            i = mover[chosen, t]
            length += 1
            if length > width or i < 0:
                return -1
            move(i, t, core)
            chosen = base + t
    return -1


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def solve(price: float, same: int, solved: bool, core: Core) -> int:
    """Solve the box at hand at a price, from the assignment at hand; return as `settle` does.

    `same` is the only group of which anything but the assignment changed, -1 if the price did; `solved` as for `lay`.
    """
    pairs, cells = core.pairs, core.cells
    width = pairs.shape[1]
    lay(price, solved, core)
    for g in range(cells.size // width):
        if same >= 0 and g != same:
            continue
        if same < 0 and not cancel(g * width, width, core):
            return -1
        result = settle(g * width, width, core)
        if result < 1:
            return int(result)
    return 1


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def judge(price: float, core: Core) -> None:
    """Write the bound that the box at hand has at a price, and by how many USD its bill exceeds the budget."""
    queries, cells, now = core.queries, core.cells, core.now[0]
    bound = now.fixed + price * now.budget + now.utility - price * now.own + NOISE * (queries.size + 1)
    bill = now.own
    for c in range(cells.size):
        if cells[c].price > 0.0:
            places = max(cells[c].count, cells[c].low * cells[c].places)
            bound -= cells[c].unit * places
            bill += cells[c].price * places / cells[c].places
    now.bound, now.over = bound, bill - now.budget


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def penalty(over: float, price: float, curve: float) -> float:
    """Return what a bill that is off by some USD costs at least, where `curve` is the price's relative change a USD."""
    if over < 0.0 and -curve * over > 1.0:
        return price * (-over - 0.5 / curve)
    return 0.5 * curve * price * over * over


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def keep(slot: int, bound: float, price: float, over: float, core: Core, tree: Tree) -> None:
    """Write the assignment and the box at hand into a slot."""
    queries, cells, nodes, boxes, now = core.queries, core.cells, tree.nodes, tree.boxes, core.now[0]
    for i in range(queries.size):
        tree.states[slot, i] = queries[i].state
    for c in range(cells.size):
        boxes[slot, c].low, boxes[slot, c].high = cells[c].low, cells[c].high
    nodes[slot].bound, nodes[slot].price = bound, price
    nodes[slot].key = bound - penalty(over, price, now.curve)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def drop(place: int, core: Core, tree: Tree) -> None:
    """Close the box at a place of the order."""
    nodes, now = tree.nodes, core.now[0]
    last = now.open - 1
    nodes[place].order, nodes[last].order = nodes[last].order, nodes[place].order
    now.open = last


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def expand(  # long: one child after another
    place: int, cell: int, number: int, middle: bool, price: float, core: Core, tree: Tree
) -> int:
    """Replace a box by those with at most `number` calls of a cell and with more; return the better one's place or -1.

    With `middle`, there is one with just `number`, and the others have less and more. The price is the one to begin
    with; where the bill is far from the budget, it is changed as long as that lowers the bound.
    """
    queries, options, cells = core.queries, core.options, core.cells
    nodes, boxes, now = tree.nodes, tree.boxes, core.now[0]
    slot = nodes[place].order
    group = cell // core.pairs.shape[1] if price == nodes[slot].price else -1
    work = 4.0 * options.size + 8.0 * queries.size + 3000.0
    part = 0.02 if now.reached > -FAR else 0.002
    top = -1
    for child in range(3 if middle else 2):
        fresh = nodes[now.open].order
        for c in range(cells.size):
            cells[c].low, cells[c].high = boxes[slot, c].low, boxes[slot, c].high
        if middle and child == 0:
            cells[cell].low = cells[cell].high = number
        elif child == (1 if middle else 0):
            cells[cell].high = number - 1 if middle else number
        else:
            cells[cell].low = number + 1
        if cells[cell].low > cells[cell].high or cells[cell].high * cells[cell].places < cells[cell].fixed:
            continue
        for i in range(queries.size):
            queries[i].state = tree.states[slot, i]
        now.made += 1
        result, bound, at, over = 1, nodes[slot].bound, price, 0.0
        for change in range(now.changes + 1):
            now.work += work
            other = price if change == 0 else at * (1.0 + min(max(now.curve * over, -MOST_CHANGE), MOST_RISE))
            solved = solve(other, group if change == 0 else -1, change > 0, core)
            if solved < 1:
                result = solved if change == 0 else result
                break
            judge(other, core)
            if change > 0:
                apart = over - now.over
                seen = (other / at - 1.0) / apart if abs(apart) > 1e-15 * now.budget else 10.0 * now.curve
                seen = min(max(seen, 0.1 * now.first_curve), STEEPEST * now.first_curve)
                now.curve = 0.7 * now.curve + 0.3 * seen
                if now.bound >= bound:
                    break
            bound, at, over = min(now.bound, bound), other, now.over
            keep(fresh, bound, at, over, core, tree)
            slight = part * (bound - max(now.reached, now.floor))
            if bound <= now.reached + now.tolerance or penalty(over, at, now.curve) < slight:
                break
        if result == 0:
            continue
        if result < 0 or bound <= now.reached + now.tolerance:
            now.lost = max(now.lost, bound)
            continue
        nodes[fresh].key = bound - penalty(over, at, now.curve)
        if top < 0 or nodes[fresh].key > nodes[nodes[top].order].key:
            top = now.open
        now.open += 1
    last = now.open - 1
    drop(place, core, tree)
    return place if top == last else top


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def branching(slot: int, core: Core, tree: Tree) -> int:
    """Return the cell to branch on, of most USD in places that are not filled, -1 if no call in part is paid in part.

    Counts go to the cells.
    """
    queries, cells, boxes = core.queries, core.cells, tree.boxes
    for c in range(cells.size):
        cells[c].count = cells[c].fixed
    for i in range(queries.size):
        cells[queries[i].first + tree.states[slot, i]].count += 1
    chosen, score = -1, 0.0
    for c in range(cells.size):
        size = cells[c].places
        part = cells[c].count % size
        if part != 0 and cells[c].price > 0.0 and cells[c].count > boxes[slot, c].low * size:
            mine = cells[c].price * (1.0 - part / size) * part
            if mine > score:
                chosen, score = c, mine
    return chosen


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def grow(  # wide: a leaf, and limits
    place: int, cell: int, number: int, price: float, core: Core, tree: Tree, most_boxes: int, most_work: float
) -> tuple[int, int, int]:
    """Branch until a leaf is reached, in which every call that is paid is paid in full, or a limit.

    A box's better child is next, else the box of best key. The first call solves the first box.

    Parameters
    ----------
    place, cell, number
        The leaf that was reached last, -1 for none; and its cell to branch on, into boxes of `number` calls, less, and
        more, -1 for none.
    price
        At which those boxes, or the first one, are solved to begin with.
    core, tree
        The problem and the open boxes. The calls of the leaf that is reached go to the cells.
    most_boxes, most_work
        The limits.

    Returns
    -------
    tuple
        Why it ended; the place of the leaf; and the dearest of its cells whose number of calls is still open, -1 if
        there is none.
    """
    cells, nodes, boxes, now = core.cells, tree.nodes, tree.boxes, core.now[0]
    if now.made == 0:
        solved = solve(price, -1, False, core)
        if solved < 1:
            return NO_ROOM if solved == 0 else ROUNDED, -1, -1
        judge(price, core)
        keep(0, now.bound, price, now.over, core, tree)
        now.open = now.made = 1
        dearest = 0.0
        for c in range(cells.size):
            dearest = max(dearest, cells[c].price)
        now.floor = now.bound - price * dearest
    middle = cell >= 0
    if place >= 0 and not middle:
        drop(place, core, tree)
        place = -1
    while True:
        if cell >= 0:
            place = expand(place, cell, number, middle, price, core, tree)
            if middle:
                place, middle = -1, False
        if place < 0:
            if now.open == 0:
                return DONE, -1, -1
            if now.made >= most_boxes or now.work > most_work:
                return LIMIT, -1, -1
            place = 0
            for x in range(1, now.open):
                if nodes[nodes[x].order].key > nodes[nodes[place].order].key:
                    place = x
        slot = nodes[place].order
        if nodes[slot].bound <= now.reached + now.tolerance:
            now.lost = max(now.lost, nodes[slot].bound)
            drop(place, core, tree)
            place, cell = -1, -1
            continue
        if now.open + 3 > nodes.size:
            return LIMIT, -1, -1
        cell = branching(slot, core, tree)
        if cell >= 0:
            number, price = cells[cell].count // cells[cell].places, nodes[slot].price
            continue
        dearest = 0.0
        for c in range(cells.size):
            calls = max(-(-cells[c].count // cells[c].places), boxes[slot, c].low)
            if cells[c].price > 0.0 and boxes[slot, c].high > boxes[slot, c].low and cells[c].price > dearest:
                cell, dearest = c, cells[c].price
            cells[c].calls = calls if cells[c].price > 0.0 else boxes[slot, c].high
        return LEAF, place, cell


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def price_places(base: int, width: int, core: Core) -> None:
    """Write what a place in each cell of a group is worth at the assignment at hand, which is best for its counts."""
    cells, loss, spare = core.cells, core.loss, core.spare
    for c in range(base, base + width):
        cells[c].rate = 0.0 if cells[c].count < cells[c].high * cells[c].places else FAR
    for closed in range(2):  # ways to free places; then among cells that have none
        for _ in range(width + 2):
            changed = False
            for c in range(base, base + width):
                for t in range(width):
                    way = loss[c, t] + cells[base + t].rate
                    if way < cells[c].rate - NOISE:
                        cells[c].rate, changed = way, True
            if not changed:
                break
        if closed == 0:
            for c in range(base, base + width):
                spare[1, c - base] = cells[c].rate >= FAR and cells[c].high > 0
                if spare[1, c - base]:
                    cells[c].rate = 0.0
    raised = 0.0  # which a place in those must be worth, so that it does not pay to move there
    for c in range(base, base + width):
        for t in range(width):
            if spare[1, t] and not spare[1, c - base] and cells[c].rate < FAR and loss[c, t] < FAR:
                raised = max(raised, cells[c].rate - loss[c, t] - cells[base + t].rate)
        if spare[1, c - base]:
            raised = max(raised, -cells[c].rate)
    for c in range(base, base + width):
        if spare[1, c - base]:
            cells[c].rate += raised


@njit(cache=True, nogil=True, error_model="numpy", small=True)
def reprice(  # long: two searches for a price, one after the other
    price: float, steps: int, more: int, core: Core, within: Array, above: Array, out: Array
) -> None:
    """Find the price at which the best assignment in the calls of a leaf bills what the budget is.

    First by secants of the bill; then, as long as the bound promises a better plan, where the tangents of the bound at
    two prices meet, which ends at the lowest bound of all prices.

    Parameters
    ----------
    price, steps, more
        To begin with; and how many prices are tried at most, first and then.
    core
        With the leaf's calls. What places are worth at the price of the lowest bound goes to the cells.
    within, above
        Receive the assignment within the budget of most utility, and one just above it: (M,).
    out
        Receives utility of the former, -inf if there is none; the lowest bound and its price; the prices of the two
        assignments, -1 for none; and the last price: (6,).
    """
    queries, cells, now = core.queries, core.cells, core.now[0]
    width = core.pairs.shape[1]
    groups = cells.size // width
    paid = 0.0
    for c in range(cells.size):
        paid += cells[c].price * cells[c].calls if cells[c].price > 0.0 else 0.0
    out[0], out[1], out[2], out[3], out[4], out[5] = -FAR, FAR, price, -1.0, -1.0, price
    low, low_over, high, high_over, first = -1.0, 0.0, -1.0, 0.0, price
    fall, fall_bound, fall_slope, rise, rise_bound, rise_slope = -1.0, 0.0, 0.0, -1.0, 0.0, 0.0
    exact = False
    for step in range(steps + more):
        for c in range(cells.size):
            cells[c].low = cells[c].high = cells[c].calls
        if solve(price, -1, False, core) < 1:  # whatever places cost: none is open
            return
        slope = now.budget - paid - now.own
        bound = now.fixed + price * slope + now.utility + NOISE * (queries.size + 1)
        if bound < out[1]:
            out[1], out[2] = bound, price
            for g in range(groups):
                price_places(g * width, width, core)
        if slope < 0.0:
            fall, fall_bound, fall_slope = price, bound, slope
        else:
            rise, rise_bound, rise_slope = price, bound, slope
        bill = now.own
        for c in range(cells.size):
            bill += cells[c].price * (-(-cells[c].count // cells[c].places))
        over = bill - now.budget
        if out[1] <= now.reached + now.tolerance:
            return
        if over <= 0.0:
            if now.fixed + now.utility > out[0]:
                out[0] = now.fixed + now.utility
                for i in range(queries.size):
                    within[i] = queries[i].state
            if not exact:
                high, high_over, out[3] = price, over, price
        elif not exact:
            low, low_over, out[4] = price, over, price
            for i in range(queries.size):
                above[i] = queries[i].state
        if not exact:
            out[5] = price
        if not exact and low >= 0.0 and high >= 0.0:
            exact = step + 1 >= steps or high - low < 1e-4 * first
            exact = exact or out[0] >= out[1] - now.tolerance or high_over == 0.0
        if exact:
            if fall < 0.0 or rise < 0.0 or rise_slope - fall_slope <= 0.0:
                return
            price = (fall_bound - rise_bound + rise_slope * rise - fall_slope * fall) / (rise_slope - fall_slope)
            if not fall < price < rise or out[1] <= fall_bound + fall_slope * (price - fall) + now.tolerance:
                return
        elif step + 1 >= steps:
            return
        elif low >= 0.0 and high >= 0.0:
            price = low + min(max(low_over / (low_over - high_over), 0.1), 0.9) * (high - low)
        elif high >= 0.0:
            if price == 0.0:
                return
            change = max(-now.first_curve * over, 0.002) * 1.5**step
            price = price * (1.0 - change) if change < 1.0 else 0.5 * price
        else:
            change = max(now.first_curve * over, 0.002) * 1.5**step
            price = price * (1.0 + min(change, 1.0)) if price > 0.0 else now.least_price


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def only(i: int, s: int, core: Core) -> None:
    """Leave a query one state."""
    queries, options, value = core.queries, core.options, core.value
    begin, at = queries[i].begin, queries[i].begin
    for z in range(begin, queries[i].end):
        value[i, options[z]] = -FAR
        if options[z] == s:
            at = z
    options[at], options[begin] = options[begin], s
    queries[i].end, queries[i].state = begin + 1, s


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def without(i: int, s: int, core: Core) -> None:
    """Take a state from a query, which has others."""
    queries, options, value = core.queries, core.options, core.value
    begin, last = queries[i].begin, queries[i].end - 1
    for z in range(begin, last):
        if options[z] == s:
            options[z], options[last] = options[last], s
    value[i, s], queries[i].end = -FAR, last
    if queries[i].state == s:
        queries[i].state = options[begin]


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def worth(i: int, price: float, core: Core) -> float:
    """Return what a query is worth at a price and what the places of cells are worth, written to `leave`."""
    queries, options, pairs, cells = core.queries, core.options, core.pairs, core.cells
    most = -FAR
    for z in range(queries[i].begin, queries[i].end):
        s = options[z]
        leave = cells[queries[i].first + s].leave
        if leave < FAR:
            most = max(most, pairs[i, s].utility - price * pairs[i, s].own - leave)
    return most


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def pruned(price: float, room: float, core: Core) -> bool:
    """Take states from queries that lose too much in them, at a leaf's price and rates; False if no plan is better."""
    queries, options, pairs, cells, now = core.queries, core.options, core.pairs, core.cells, core.now[0]
    gap = now.fixed - now.reached + price * room + (NOISE + ROUNDING * price * abs(room)) * (queries.size + 1)
    for c in range(cells.size):
        left = cells[c].calls * cells[c].places - cells[c].fixed
        cells[c].leave = max(cells[c].rate, 0.0) if left > 0 and cells[c].rate < FAR else FAR
        if cells[c].leave < FAR:
            gap += cells[c].leave * left
    for i in range(queries.size):
        gap += worth(i, price, core)
    if gap <= 0.0:
        return False
    for i in range(queries.size):
        most, z = worth(i, price, core), queries[i].begin
        while z < queries[i].end:
            s = options[z]
            leave = cells[queries[i].first + s].leave
            if leave < FAR and most - (pairs[i, s].utility - price * pairs[i, s].own - leave) <= gap:
                z += 1
            elif queries[i].end == queries[i].begin + 1:
                return False
            else:
                without(i, s, core)
    return True


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def split(part: float, within: Array, above: Array, step: int, core: Core, steps: Array) -> bool:
    """Choose what to branch on between two assignments that are best at one price, the second one taken in part.

    That is a cell whose number of queries is then no whole number; else the query whose token costs differ most.
    Returns False if they are the same.
    """
    queries, pairs, cells = core.queries, core.pairs, core.cells
    for c in range(cells.size):
        cells[c].head = cells[c].following = cells[c].fixed
    far, query = -1.0, -1
    for i in range(queries.size):
        s, t = within[i], above[i]
        cells[queries[i].first + s].head += 1
        cells[queries[i].first + t].following += 1
        apart = abs(pairs[i, s].own - pairs[i, t].own)
        if s != t and apart > far:
            far, query = apart, i
    if query < 0:
        return False
    steps[step].query, steps[step].cell, steps[step].to, far = query, -1, within[query], 1e-6
    for c in range(cells.size):
        count = cells[c].head + part * (cells[c].following - cells[c].head)
        number = int(np.floor(count))
        if min(count - number, number + 1 - count) > far:
            far = min(count - number, number + 1 - count)
            steps[step].cell, steps[step].to = c, number
            steps[step].fewer = cells[c].head <= number
    return True


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def limit(step: int, second: bool, core: Core, steps: Array) -> None:
    """Go to the part of a branch that holds the assignment within the budget, or to the second one."""
    queries, cells = core.queries, core.cells
    i, c, to = steps[step].query, steps[step].cell, steps[step].to
    steps[step].second = second
    if c < 0:
        steps[step].old = queries[i].end
        if second:
            without(i, to, core)
        else:
            only(i, to, core)
    else:
        steps[step].old, steps[step].older = cells[c].most, cells[c].least
        if steps[step].fewer != second:
            cells[c].most = min(cells[c].most, to)
        else:
            cells[c].least = max(cells[c].least, to + 1)


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def free(step: int, core: Core, steps: Array) -> None:
    """Take back what a branch limits."""
    if steps[step].cell < 0:
        core.queries[steps[step].query].end = steps[step].old
    else:
        core.cells[steps[step].cell].most = steps[step].old
        core.cells[steps[step].cell].least = steps[step].older


@njit(cache=True, nogil=True, error_model="numpy", inner=True)
def past(price: float, distance: float, slope: float, core: Core) -> float:
    """Return a price just past that at which a tangent has come down by some distance, but not too far away."""
    now = core.now[0]
    if slope == 0.0 or (slope > 0.0 and price < TINY * now.least_price):
        return 0.0
    found = price - PAST * distance / slope
    return max(found, 0.25 * price) if slope > 0.0 else min(found, 4.0 * price + now.least_price)


@njit(cache=True, nogil=True, error_model="numpy")
def branch(  # long: one depth-first search
    price: float, most_work: float, core: Core, within: Array, above: Array, best: Array, saved: Array, steps: Array
) -> tuple[float, float, int]:
    """Find the best assignment of a leaf, whose calls are fixed: depth-first search by prices.

    A node limits the numbers of queries in cells, and the states of queries. Its bound is lowest where the tangents at
    two prices meet; the best assignments of these prices, of which one keeps the budget and the other does not, differ
    in what is branched on. Prices are tried first at which a tangent promises nothing better than what is known.

    Parameters
    ----------
    price
        To begin with, at which the cells' rates are what a place there is worth.
    most_work
        Work of the tree at which it ends.
    core
        With the calls of each cell and what a place there is worth at the price.
    within, above, saved
        Work space: (M,), (M,), (depth, M).
    best
        Receives the best assignment, if it is better than what is known: (M,).
    steps
        Work space, of STEP: (depth,).

    Returns
    -------
    tuple
        The utility of the best assignment, or what was known; the utility that none exceeds; and the nodes.
    """
    queries, cells, now = core.queries, core.cells, core.now[0]
    count, reached, tolerance = queries.size, now.reached, now.tolerance
    paid = 0.0
    for c in range(cells.size):
        paid += cells[c].price * cells[c].calls
        cells[c].low = cells[c].high = cells[c].calls
    for i in range(count):
        queries[i].whole = queries[i].end
    nodes, depth, lost, bound = 0, 0, -FAR, FAR
    fall, fall_bound, fall_slope, rise, rise_bound, rise_slope = -1.0, 0.0, 0.0, -1.0, 0.0, 0.0
    going = pruned(price, now.budget - paid, core)
    while going:
        nodes += 1
        open_ = False
        for _ in range(MOST_TRIES):
            now.work += 4.0 * core.options.size + 8.0 * count + 300.0
            solved = solve(price, -1, False, core)
            if solved < 1:
                lost = max(lost, bound) if solved < 0 else lost
                break
            slope = now.budget - paid - now.own
            here = now.fixed + price * slope + now.utility + NOISE * (count + 1) + ROUNDING * price * now.budget
            bound = min(bound, here)
            if slope < 0.0:
                fall, fall_bound, fall_slope = price, here, slope
                for i in range(count):
                    above[i] = queries[i].state
            else:
                rise, rise_bound, rise_slope = price, here, slope
                for i in range(count):
                    within[i] = queries[i].state
                if now.fixed + now.utility > reached:
                    reached = now.fixed + now.utility
                    for i in range(count):
                        best[i] = queries[i].state
            open_ = bound > reached + tolerance and (price > 0.0 or slope < 0.0)
            if not open_:
                lost = max(lost, bound)
                break
            if fall >= 0.0 and rise >= 0.0:
                meet = (fall_bound - rise_bound + rise_slope * rise - fall_slope * fall) / (rise_slope - fall_slope)
                least = fall_bound + fall_slope * (meet - fall)
                if not fall < meet < rise or bound - least <= CLOSE * (bound - reached):
                    break
                price = meet
            else:
                price = past(price, here - reached, slope, core)
            open_ = False
        else:
            lost = max(lost, bound)
        late = now.work > most_work
        if open_ and (depth == steps.size or late):
            lost, open_ = max(lost, bound), False
        if open_ and split(rise_slope / (rise_slope - fall_slope), within, above, depth, core, steps):
            steps[depth].bound, steps[depth].price = bound, fall
            steps[depth].here, steps[depth].slope = fall_bound, fall_slope
            for i in range(count):
                saved[depth, i], queries[i].state = above[i], within[i]
            limit(depth, False, core, steps)
            price = past(rise, rise_bound - reached, rise_slope, core)
            fall = -1.0
            depth += 1
            continue
        if open_:
            lost = max(lost, bound)
        going = False
        while depth > 0 and not going:
            depth -= 1
            free(depth, core, steps)
            if steps[depth].second > 0:
                continue
            if late or steps[depth].bound <= reached + tolerance:
                lost = max(lost, steps[depth].bound)
                continue
            bound, fall, fall_bound = steps[depth].bound, steps[depth].price, steps[depth].here
            fall_slope, rise = steps[depth].slope, -1.0
            price = past(fall, fall_bound - reached, fall_slope, core)
            for i in range(count):
                above[i] = queries[i].state = saved[depth, i]
            limit(depth, True, core, steps)
            depth += 1
            going = True
    for i in range(count):
        queries[i].end = queries[i].whole
    return reached, max(lost, reached), nodes
