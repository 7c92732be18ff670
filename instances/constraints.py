"""Constraints that couple queries: limits of models, and budgets and least utilities of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from robatch.instances.errors import InputError
from robatch.instances.scalars import number, whole

Label = str | int


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a plan must keep beside its budget.

    Parameters
    ----------
    max_queries
        Most queries that a model may answer, by the model's name.
    max_calls
        Most calls that a model may be sent, by the model's name: whole calls, ``ceil(queries / b)`` in each state
        and group, under both cost models.
    max_cost
        Most USD that a model may cost, by the model's name, under the cost model of the plan.
    min_group_utility
        Least mean utility of a group's queries, from 0 to 1, by the group's label.
    group_budget
        Most USD that a group's queries may cost, by the group's label, under the cost model of the plan.

    Raises
    ------
    InputError
        If a value is not allowed.
    """

    max_queries: Mapping[str, int] = field(default_factory=dict)
    max_calls: Mapping[str, int] = field(default_factory=dict)
    max_cost: Mapping[str, float] = field(default_factory=dict)
    min_group_utility: Mapping[Label, float] = field(default_factory=dict)
    group_budget: Mapping[Label, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in fields(self):
            given = getattr(self, one.name)
            if not isinstance(given, Mapping):
                raise InputError(f"{one.name} is {given!r}: a mapping from names to numbers is needed")
            kept: dict[Any, float] = {}
            for label, value in given.items():
                plain = label.item() if hasattr(label, "item") else label
                name = f"{one.name} of {plain!r}"
                if one.name in ("max_queries", "max_calls"):
                    kept[plain] = whole(name, value)
                else:
                    kept[plain] = number(name, value, most=1.0 if one.name == "min_group_utility" else 1e300)
            object.__setattr__(self, one.name, kept)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def check(self, models: Sequence[str], groups: Sequence[Label]) -> None:
        """Check that all names are those of a problem's models and groups.

        Raises
        ------
        InputError
            If a model or group is unknown.
        """
        for one in fields(self):
            of_groups = one.name in ("min_group_utility", "group_budget")
            known, kind = (groups, "group") if of_groups else (models, "model")
            among = set(known)
            for label in getattr(self, one.name):
                if not len(known):
                    raise InputError(f"{one.name} names the {kind} {label!r}: the problem has no {kind}s")
                if label not in among:
                    names = ", ".join(repr(name) for name in list(known)[:20])
                    raise InputError(f"{one.name} names the {kind} {label!r}: the problem's are {names}")

    def to_json(self) -> dict[str, list[list[Any]]]:
        """Return the constraints as plain values: a list of [label, value] for each kind that is not empty."""
        return {
            one.name: [[label, value] for label, value in getattr(self, one.name).items()]
            for one in fields(self)
            if getattr(self, one.name)
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Sequence[tuple[Any, Any]]]) -> Constraints:
        """Return the constraints that `to_json` gave as plain values."""
        return cls(**{name: dict(pairs) for name, pairs in plain.items()})
