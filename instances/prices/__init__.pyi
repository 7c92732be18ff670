from .entry import PriceEntry as PriceEntry
from .entry import PriceTier as PriceTier
from .entry import Rates as Rates
from .sources import SOURCES as SOURCES
from .sources import price_table as price_table
from .table import LeftOut as LeftOut
from .table import PriceTable as PriceTable
