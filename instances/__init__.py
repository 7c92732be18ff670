"""The problem itself: data types, cost arithmetic, generated families, files and routing tables."""

from robatch.instances.bundled import BUNDLED, load
from robatch.instances.constraints import Constraints
from robatch.instances.errors import InputError, InputWarning, MissingExtraError
from robatch.instances.families import FAMILIES, generate
from robatch.instances.knapsack import Knapsack, from_knapsack
from robatch.instances.model import Model, State
from robatch.instances.multiple_choice import KNAPSACK_FAMILIES
from robatch.instances.prices.entry import PriceEntry
from robatch.instances.prices.sources import price_table
from robatch.instances.prices.table import PriceTable
from robatch.instances.problem import Problem
from robatch.instances.problem_file import read
from robatch.instances.tables import from_table

__all__ = [
    "BUNDLED",
    "FAMILIES",
    "KNAPSACK_FAMILIES",
    "Constraints",
    "InputError",
    "InputWarning",
    "Knapsack",
    "MissingExtraError",
    "Model",
    "PriceEntry",
    "PriceTable",
    "Problem",
    "State",
    "from_knapsack",
    "from_table",
    "generate",
    "load",
    "price_table",
    "read",
]
