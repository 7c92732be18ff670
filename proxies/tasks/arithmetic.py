"""The task `arithmetic`: short sums in words or signs, whose answers are true by construction.

An expression of two to four whole numbers is drawn and worked out as a whole number, never with a remainder; the
harder grades have more operands, larger numbers and products, where the order of operations matters.
"""

from __future__ import annotations

import random

GRADES = (0, 0, 0, 1, 1, 1, 2, 2, 3, 3)
"""Of ten sums, three are of two small numbers, three of two larger ones, two of three numbers, two of four."""

_ASKED = ("What is {sum}?", "Work out {sum}.", "How much is {sum}?", "{sum} = ?")
_WORDED = {
    "+": (
        "A shop has {a} {items} and gets {b} more. How many has it now?",
        "There are {a} {items} in one box and {b} in another. How many are there together?",
    ),
    "-": (
        "There are {a} {items} on a shelf and {b} are sold. How many are left?",
        "Of {a} {items}, {b} are broken. How many are whole?",
    ),
    "*": (
        "{a} boxes hold {b} {items} each. How many {items} are there?",
        "One crate weighs {b} kilograms. How many kilograms do {a} such crates weigh?",
    ),
    "/": (
        "{a} {items} are shared out evenly among {b} shops. How many does each get?",
        "{a} {items} are packed into boxes of {b}. How many boxes are full?",
    ),
}
_ITEMS = ("kettles", "lamps", "chairs", "books", "cups", "watches", "tents", "clocks")


def problem(grade: int, rng: random.Random) -> tuple[str, str]:
    """Compose one sum; return its text and its answer.

    The grades are 0: two numbers up to 12; 1: two numbers up to 90; 2: three numbers; 3: four numbers. Half of those
    with two numbers are told in words.
    """
    if grade < 2:
        sign, a, b = _pair(12 if grade == 0 else 90, rng)
        answer = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[sign]
        if rng.random() < 0.5:
            return rng.choice(_WORDED[sign]).format(a=a, b=b, items=rng.choice(_ITEMS)), str(answer)
        return rng.choice(_ASKED).format(sum=f"{a} {sign} {b}"), str(answer)
    # One product or quotient, then the other numbers before or behind it, added or taken away.
    sign, a, b = _pair(12 if grade == 2 else 20, rng, "*/")
    value = a * b if sign == "*" else a // b
    terms = [(rng.choice((1, -1)), f"{a} {sign} {b}", value)]
    for _ in range(grade - 1):
        number = rng.randint(2, 60)
        terms.append((rng.choice((1, -1)), str(number), number))
    rng.shuffle(terms)
    terms[0] = (1, *terms[0][1:])
    shown = terms[0][1] + "".join(f" {'+' if plus > 0 else '-'} {text}" for plus, text, _ in terms[1:])
    return rng.choice(_ASKED).format(sum=shown), str(sum(plus * number for plus, _, number in terms))


def _pair(largest: int, rng: random.Random, signs: str = "+-*/") -> tuple[str, int, int]:
    """Draw two numbers whose sum, difference, product or quotient is a whole number that is not negative."""
    sign = rng.choice(signs)
    a, b = rng.randint(2, largest), rng.randint(2, min(largest, 12) if sign in "*/" else largest)
    if sign == "/":
        a *= b
    if sign == "-" and a < b:
        a, b = b, a
    return sign, a, b
