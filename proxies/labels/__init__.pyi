from .agreement import Agreement as Agreement
from .agreement import agreement as agreement
from .judging import Judged as Judged
from .judging import judge as judge
from .people import fill_table as fill_table
from .people import filled as filled
from .reference import Labelled as Labelled
from .reference import label as label
