"""The phrases of the task `reviews`: product reviews whose author is content or not.

A review is built from a *verdict* on the product, which fixes the answer, and in the harder grades from neutral
*detail* or from a *concession*: a lesser point of the opposite sign, said to be outweighed. The answer is
therefore true by construction.
"""

from __future__ import annotations

import random

ANSWERS = ("positive", "negative")
GRADES = (0, 0, 0, 0, 1, 1, 1, 2, 2, 2)
"""Grades of difficulty, in the proportion in which they occur."""

VERDICTS: dict[str, tuple[str, ...]] = {
    "positive": (
        "this {item} is wonderful and I use it every day",
        "I love this {item}",
        "the best {item} I have ever had",
        "the {item} works perfectly and I would buy it again",
        "I am delighted with the {item}",
        "great quality, and the {item} does all that was promised",
        "I recommend this {item} to everyone",
        "after {n} weeks the {item} is still a joy to use",
        "my whole family is happy with the {item}",
        "the {item} was worth every cent",
    ),
    "negative": (
        "this {item} is terrible and I have stopped using it",
        "I hate this {item}",
        "the worst {item} I have ever had",
        "the {item} never worked and I want my money back",
        "I am disappointed by the {item}",
        "poor quality, and the {item} does nothing that was promised",
        "I warn everyone against this {item}",
        "after {n} days the {item} fell apart",
        "my whole family is annoyed by the {item}",
        "the {item} was a waste of money",
    ),
}
CONCESSIONS: dict[str, tuple[str, ...]] = {
    "positive": (  # small complaints of somebody who is content
        "delivery took {n} days",
        "the manual is too short",
        "the box was dented",
        "the colour is a little darker than in the picture",
        "it is not cheap",
    ),
    "negative": (  # small praise from somebody who is not
        "delivery was quick",
        "the manual is clear",
        "it came in a pretty box",
        "the colour is just as in the picture",
        "it was cheap",
    ),
}
DETAIL = (
    "I bought it in {month}.",
    "It stands in my kitchen.",
    "It replaces one that I had for {n} years.",
    "I chose the {colour} one.",
    "A friend has the same one.",
    "I ordered it together with a lamp.",
)
_FILL: dict[str, tuple[str, ...]] = {
    "item": ("kettle", "blender", "headset", "backpack", "toaster", "keyboard", "tent", "heater", "watch", "chair"),
    "month": ("January", "March", "April", "June", "August", "October"),
    "colour": ("blue", "green", "black", "white", "red"),
}


def message(answer: str, grade: int, rng: random.Random) -> str:
    """Compose one review whose verdict is `answer`, one of `ANSWERS`.

    The grades are 0: the verdict alone; 1: with neutral detail; 2: with a concession of the opposite sign.
    """
    verdict = rng.choice(VERDICTS[answer])
    first, second = rng.sample(DETAIL, 2)
    concession = rng.choice(CONCESSIONS[answer])
    shapes: tuple[tuple[str, ...], ...] = (
        (f"{verdict}.", f"{verdict}!"),
        (f"{first} {verdict}. {second}", f"{verdict}. {first} {second}", f"{first} {second} {verdict}."),
        (
            f"{concession}, but {verdict}.",
            f"{verdict}, even though {concession}.",
            f"{first} {concession}, yet {verdict}.",
        ),
    )
    text = rng.choice(shapes[grade])
    filled = {name: rng.choice(values) for name, values in _FILL.items()}
    text = text.format(n=rng.randrange(3, 30), **filled)
    return ". ".join(sentence[:1].upper() + sentence[1:] for sentence in text.split(". "))
