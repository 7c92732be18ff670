from .rows import QueryRows as QueryRows
from .rows import RowRules as RowRules
from .rows import read_rows as read_rows
from .table import read_table as read_table
from .taken import take as take
