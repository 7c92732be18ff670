"""A table of tickets, and servers that answer them: a cheap model that fails on some, and a dear one."""

from __future__ import annotations

import json
from zlib import crc32

from tests.proxies.llm_server import Server

TEAMS = ("billing", "delivery", "technical", "account")
PRICES = {"small": (0.1, 0.4), "large": (2.0, 8.0)}  # USD per million tokens
WRONG = {"small": 0.30, "large": 0.02}  # part of the hard tickets alone in a call


class TicketServer(Server):
    """Answers with a ticket's first word, its team, but for some of the hard ones."""

    def word(self, model, text, size):
        team = text.split()[0]
        part = WRONG[model] * (2.0 if "hmm" in text else 0.2) * (1.0 + 0.02 * (size - 1))
        if (crc32(f"{model} {text} {size > 4}".encode()) % 1000) / 1000 < part:
            return TEAMS[(TEAMS.index(team) + 1) % len(TEAMS)]
        return team

    @property
    def usd(self):
        """The bill in USD."""
        return sum(PRICES[model][0] * t_in + PRICES[model][1] * t_out for model, t_in, t_out in self.bill) / 1e6


def ticket(number):
    words = ("the parcel came late and I cannot find it " * (40 if number % 97 == 0 else 1)).strip()
    return f"{TEAMS[number % 4]} ticket {number} {'hmm ' if number % 3 == 0 else ''}{words}"


def write_tickets(path, rows, doubled=0, empty=0, first=0):
    """Write a CSV file of tickets, some of them empty and some a copy of another; return the number of texts."""
    lines = ["ticket_id,subject,body,customer"]
    for number in range(first, first + rows):
        lines.append(f'{number},"Re: {number % 7}","{ticket(number)}",{number % 50:03d}')
    for number in range(empty):
        lines.append(f"{90_000 + number},,,{number:03d}")
    for number in range(doubled):
        lines.append(f'{80_000 + number},"Re: {number % 7}","{ticket(number)}",999')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


def write_pool(path, url, priced=True):
    tables = []
    for name, (price_in, price_out) in PRICES.items():
        price = f"price_in = {price_in}\nprice_out = {price_out}\n" if priced else ""
        tables.append(
            f'[[models]]\nname = "{name}"\nserver = "{url}"\nmodel = "{name}"\ncontext_window = 8192\n{price}'
        )
    path.write_text("\n".join(tables), encoding="utf-8")


def write_prices(path):
    """Write prices as LiteLLM's table has them."""
    entries = {
        name: {"input_cost_per_token": price_in / 1e6, "output_cost_per_token": price_out / 1e6, "mode": "chat",
               "max_input_tokens": 8192, "max_output_tokens": 4096, "litellm_provider": "openai"}
        for name, (price_in, price_out) in PRICES.items()
    }  # fmt: skip
    path.write_text(json.dumps(entries), encoding="utf-8")
