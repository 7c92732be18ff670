"""Calls of similar queries, from vectors or from a similarity graph.

Pairs (batch size 2) of up to `MATCHING` queries are a maximum-weight matching of greatest cardinality, which is
exact (Edmonds' blossoms as in Galil 1986, by networkx). All others are grown greedily: a call starts with the first
query left and takes in turn the one of greatest total similarity to those in it, a size-constrained clustering without
a guarantee of its quality. A cell of more than `BLOCK` queries with vectors is first halved along its principal
direction (Boley 1998, Principal Direction Divisive Partitioning), full calls on one side, until each part is small
enough: alike queries on two sides of a cut are then not seen. Graphs are never cut; queries without an edge have
similarity 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from robatch.instances.arrays import Array, IntArray
from robatch.instances.errors import InputError
from robatch.instances.pairs import Names

MATCHING = 100  # queries of a cell that are paired by matching, which takes a second at this size
BLOCK = 512  # queries whose similarities are held as one matrix
POWER = 10  # steps towards the principal direction


class Similarity:
    """Puts the queries of a cell in an order in which each run of the batch size is alike.

    Parameters
    ----------
    value
        Vectors of the queries, dense or scipy sparse: (N, d), compared by cosine; or a networkx graph whose nodes
        are queries by id (by position without ids), with a similarity of at least 0 as ``weight`` of each edge, 1
        where it has none.
    rows
        Number of queries.
    query_ids
        Ids of the queries, or None.
    conflicts
        Pairs of queries that may not share a call: (E, 2), or None.

    Raises
    ------
    InputError
        If it is neither, or a vector, node or weight is not allowed.
    """

    def __init__(self, value: Any, rows: int, query_ids: Array | None, conflicts: IntArray | None) -> None:
        self.rows = rows
        self.vectors: Any = None
        self.barred = None if conflicts is None else _lists(conflicts, np.ones(len(conflicts)), rows)
        if hasattr(value, "edges") and hasattr(value, "nodes"):
            self.edges = _lists(*_edges(value, query_ids, rows), rows)
            self.place, self.near = np.full(rows, -1, dtype=np.int64), np.zeros(rows)
        else:
            self.vectors = _vectors(value, rows)

    def __call__(self, queries: IntArray, size: int) -> IntArray:
        """Return the queries of a cell in the order in which its calls take them."""
        if size == 2 and len(queries) <= MATCHING:
            return queries[_paired(self._weights(queries), self._barred(queries))]
        from robatch.solvers.plan.packing_kernels import grown, grown_on_graph

        if self.vectors is None:
            return grown_on_graph(queries, size, *self.edges, self.place, self.near)  # type: ignore[no-any-return]
        parts, done = [queries], []
        while parts:
            part = parts.pop()
            vectors = self._unit(part)
            half = (len(part) // 2 + size - 1) // size * size
            if len(part) <= BLOCK or half >= len(part):
                done.append(part[grown(_products(vectors), size)] if len(part) > size else part)
                continue
            along = np.argsort(_principal(vectors), kind="stable")
            parts += [part[along[half:]], part[along[:half]]]
        return np.concatenate(done)

    def _unit(self, queries: IntArray) -> Any:
        """Return the vectors of some queries, of length 1 but for those that are 0."""
        vectors = self.vectors[queries]
        if isinstance(vectors, np.ndarray):
            lengths = np.linalg.norm(vectors, axis=1)
            return vectors / np.where(lengths > 0, lengths, 1.0)[:, None]
        lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).reshape(-1))
        return vectors.multiply((1.0 / np.where(lengths > 0, lengths, 1.0))[:, None]).tocsr()

    def _weights(self, queries: IntArray) -> Array:
        """Return the similarity of each two queries of a cell: (M, M)."""
        return _products(self._unit(queries)) if self.vectors is not None else _matrix(queries, *self.edges)

    def _barred(self, queries: IntArray) -> Array | None:
        return None if self.barred is None else _matrix(queries, *self.barred) > 0


def _vectors(value: Any, rows: int) -> Any:
    """Check vectors: a dense array of float64, or a scipy sparse matrix of them as it is used."""
    if hasattr(value, "tocsr"):
        if getattr(value, "ndim", 2) != 2 or value.dtype.kind not in "iuf":
            raise InputError("similarity is neither a networkx graph nor an array of numbers (queries, dimensions)")
        vectors = value.tocsr().astype(np.float64)
        numbers = vectors.data
    else:
        try:
            vectors = numbers = np.asarray(value)
        except ValueError:
            numbers = np.empty(0, dtype=np.object_)
        if numbers.dtype.kind not in "iuf" or vectors.ndim != 2:
            raise InputError("similarity is neither a networkx graph nor an array of numbers (queries, dimensions)")
        if vectors.dtype != np.float32:
            vectors = vectors.astype(np.float64)
    if vectors.shape[0] != rows:
        raise InputError(f"similarity holds {vectors.shape[0]} vectors: one for each of the {rows} queries is needed")
    if not np.isfinite(numbers).all():
        raise InputError("similarity holds a number that is not finite")
    return vectors


def _edges(graph: Any, query_ids: Array | None, rows: int) -> tuple[IntArray, Array]:
    """Return the edges of a graph as positions (E, 2) and their weights (E,)."""
    names = Names(query_ids, rows)
    ends, weights = [], []
    for one, other, weight in graph.edges(data="weight", default=1.0):
        try:
            weights.append(float(weight))
        except (TypeError, ValueError):
            weights.append(np.nan)
        if not 0.0 <= weights[-1] < np.inf:
            raise InputError(f"similarity has an edge {one!r} to {other!r} of weight {weight!r}: at least 0 is needed")
        ends.append((names.query("similarity", one), names.query("similarity", other)))
    found, given = np.array(ends, dtype=np.int64).reshape(-1, 2), np.array(weights)
    apart = found[:, 0] != found[:, 1]
    return found[apart], given[apart]


def _lists(edges: IntArray, weights: Array, rows: int) -> tuple[IntArray, IntArray, Array]:
    """Return edges as the lists of each query: where each begins, the other ends, and the weights."""
    ends = np.concatenate([edges, edges[:, ::-1]])
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    starts = np.concatenate([[0], np.cumsum(np.bincount(ends[:, 0], minlength=rows))])
    return starts, np.ascontiguousarray(ends[order, 1]), np.concatenate([weights, weights])[order]


def _matrix(queries: IntArray, starts: IntArray, others: IntArray, weights: Array) -> Array:
    """Return the weights among some of the queries: (M, M)."""
    matrix = np.zeros((len(queries), len(queries)))
    place = {query: j for j, query in enumerate(queries.tolist())}
    for j, query in enumerate(queries.tolist()):
        for edge in range(starts[query], starts[query + 1]):
            other = place.get(int(others[edge]))
            if other is not None:
                matrix[j, other] += weights[edge]
    return matrix


def _products(vectors: Any) -> Array:
    products = vectors @ vectors.T
    return np.ascontiguousarray(products.toarray() if hasattr(products, "toarray") else products, dtype=np.float64)


def _principal(vectors: Any) -> Array:
    """Return where each vector lies along the direction in which they differ most: (M,)."""
    mean = np.asarray(vectors.mean(axis=0), dtype=vectors.dtype).reshape(-1)
    direction = np.random.default_rng(0).standard_normal(vectors.shape[1]).astype(vectors.dtype)
    along = np.zeros(vectors.shape[0])
    for _ in range(POWER):
        along = vectors @ direction - mean @ direction
        direction = vectors.T @ along - mean * along.sum()
        length = float(np.linalg.norm(direction))
        if length == 0.0:
            break
        direction /= length
    return np.asarray(along)


def _paired(weights: Array, barred: Array | None) -> IntArray:
    """Return an order in which pairs of greatest total weight stand side by side, those left alone last."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(len(weights)))
    graph.add_weighted_edges_from(
        (i, j, float(weights[i, j]))
        for i in range(len(weights))
        for j in range(i + 1, len(weights))
        if barred is None or not barred[i, j]
    )
    pairs = sorted(sorted(pair) for pair in nx.max_weight_matching(graph, maxcardinality=True))
    order = [query for pair in pairs for query in pair]
    return np.array(order + sorted(set(range(len(weights))) - set(order)), dtype=np.int64)
