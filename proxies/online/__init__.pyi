from .call_buffer import OnlineCall as OnlineCall
from .pacing import sample_price as sample_price
from .router import OnlineRouter as OnlineRouter
