"""The phrases of the task `support`: customer messages to be sorted into one of four teams.

A message is built from an *issue* (what the customer needs, which fixes the team), and in the harder grades from
*settled* topics of other teams (mentioned, and explicitly in order) and *chatter* (no topic at all). The answer is
therefore true by construction.
"""

from __future__ import annotations

import random

TEAMS = ("billing", "delivery", "technical", "account")

GRADES = (0, 0, 0, 0, 1, 1, 2, 2, 2, 3)
"""Of ten messages of a team, four are plain, two long-winded, three mention one settled topic, one mentions two."""

# Issues name their topic; oblique ones describe it in other words. All are clauses that can follow "but".
ISSUES: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for the {item}",
        "the invoice for the {item} shows the wrong amount",
        "the refund for the {item} has still not been paid back",
        "my voucher of {n} dollars was not taken off the price",
        "the VAT on last month's invoice is wrong",
        "I need a receipt for what I paid in {month}",
        "you took {n} dollars from my card that I never agreed to",
        "I want to pay for the {item} in instalments",
        "the discount of {n} percent is missing from my bill",
        "I was billed for a {item} that I had cancelled before it was shipped",
    ),
    "delivery": (
        "the parcel with the {item} has not arrived",
        "the courier left the {item} with a neighbour I do not know",
        "the tracking of the {item} has not moved since {day}",
        "the {item} arrived with a broken corner",
        "one of the {n} boxes is missing from the shipment",
        "please send the {item} to my office instead of my home",
        "I got a {other} in the box instead of the {item}",
        "the {item} should have been here on {day}",
        "can the driver come after {hour} in the evening",
        "the shipment is held at customs",
    ),
    "technical": (
        "the app crashes whenever I open the page of the {item}",
        "the website shows error {n} when I search for a {item}",
        "the search page stays blank in my browser",
        "the photos of the {item} do not load on my phone",
        "the app drains the battery of my phone since the update",
        "the {item} will not pair with Bluetooth",
        "the firmware update of the {item} stops at {n} percent",
        "the checkout button does not react in the app",
        "the site is so slow that pages time out",
        "the app no longer starts since I updated it on {day}",
    ),
    "account": (
        "I cannot sign in because I forgot my password",
        "please change the e-mail address in my profile",
        "I want to delete my profile and all my personal data",
        "my user name is misspelled and I want it changed",
        "please merge my two logins into one",
        "someone else seems to have used my login on {day}",
        "I want to stop the newsletter",
        "the code for signing in goes to my old phone number",
        "please close my membership at the end of {month}",
        "my login was locked after {few} wrong passwords",
    ),
}
OBLIQUE: dict[str, tuple[str, ...]] = {
    "billing": (
        "my bank statement lists your shop {few} times for one {item}",
        "I sent the {item} back in {month} and am still waiting for my {n} dollars",
        "the sum at the bottom of the letter is {n} dollars too high",
        "the price I was asked for is not the one shown beside the {item}",
        "my accountant needs a document with our tax number for the {item}",
        "your reminder says that I owe {n} dollars, which I do not",
    ),
    "delivery": (
        "the van drove past my house on {day} and nobody rang",
        "I have been waiting at the door for the {item} since {day}",
        "there was only packing paper in the box and no {item}",
        "the {item} is soaked because it was left out in the rain",
        "we move on {day}, so please bring the {item} to the new place",
        "the {item} seems to be lost somewhere between your depot and my town",
    ),
    "technical": (
        "after I tap on the {item} there is only a spinning wheel",
        "the screen of the {item} freezes after {few} minutes",
        "half of the buttons cannot be pressed on my tablet",
        "the {item} turns itself off although it is fully charged",
        "everything on your pages overlaps since {day} so that I cannot read it",
        "a grey window with the number {n} appears and then everything closes",
    ),
    "account": (
        "the link for choosing a new one never reaches my inbox",
        "I married in {month} and my last name should be updated with you",
        "please erase everything you have stored about me",
        "my daughter should be able to use the shop under her own name",
        "you greet me as somebody else whenever I enter the shop",
        "I do not want to be a member any longer",
    ),
}
SETTLED: dict[str, tuple[str, ...]] = {
    "billing": (
        "the invoice is correct",
        "the refund has reached my bank",
        "the payment went through without trouble",
        "the double charge was already paid back",
        "the price was fair",
    ),
    "delivery": (
        "the parcel came on time",
        "the courier was very friendly",
        "the {other} arrived in perfect shape",
        "the late shipment has turned up by now",
        "the tracking worked well",
    ),
    "technical": (
        "the app works again",
        "the website is fast",
        "the error on the search page is gone",
        "the update of the {other} went smoothly",
        "your new app is a pleasure to use",
    ),
    "account": (
        "I can sign in again",
        "my password works",
        "my new e-mail address is in the profile",
        "my membership was renewed",
        "my login is fine",
    ),
}
CHATTER = (
    "I bought it as a present for my sister, who turns {n} soon.",
    "We have been customers for {few} years now.",
    "I am writing this from the train, so forgive my typing.",
    "My neighbour recommended your shop to me.",
    "It has been raining here since {day}.",
    "We are just about to go on holiday.",
    "The {other} I chose in {month} is still my favourite.",
    "My husband wanted a different colour, but never mind.",
    "I usually shop in town, to be honest.",
    "I hope that you had a nice weekend.",
)
OPENINGS = ("", "", "", "Hello, ", "Hi there, ", "Good morning, ", "Dear team, ")
CLOSINGS = ("", "", "", " Thanks.", " Please help.", " Best wishes.", " What now?")
_FILL: dict[str, tuple[str, ...]] = {
    "item": ("lamp", "kettle", "desk chair", "speaker", "watch", "camera", "heater", "toaster", "printer", "drill"),
    "other": ("bookshelf", "blanket", "coffee mill", "rucksack", "fan", "mirror", "radio", "scale"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "month": ("January", "March", "April", "June", "August", "October"),
    "hour": ("five", "six", "seven"),
    "few": ("three", "four", "five"),
}


def message(team: str, grade: int, rng: random.Random) -> str:
    """Compose one message for a team of `TEAMS`, which is the answer.

    The grades are 0: plain; 1: long-winded, with irrelevant detail; 2: another team's topic is mentioned and said to be
    in order; 3: two other teams' topics are.
    """
    # The harder the grade, the more often the issue does not name its topic.
    issue = rng.choice(OBLIQUE[team] if rng.random() < (0.15, 0.25, 0.3, 0.3)[grade] else ISSUES[team])
    others = rng.sample([other for other in TEAMS if other != team], 2)
    first, second = (rng.choice(SETTLED[other]) for other in others)
    if grade == 0:
        body = _sentence(issue)
    elif grade == 1:
        before, after = rng.sample(CHATTER, 2)
        body = " ".join(rng.choice(((before, _sentence(issue), after), (before, after, _sentence(issue)))))
    elif grade == 2:
        body = rng.choice(
            (
                f"{_sentence(first, ',')} but {issue}.",
                f"{_sentence(issue)} {_sentence(first)}",
                f"{_sentence('it is true that ' + first, ';')} still, {issue}.",
            )
        )
    else:
        body = rng.choice(
            (
                f"{_sentence(first)} {_sentence('also, ' + second, ',')} but {issue}.",
                f"{_sentence(first, ',')} but {issue}. {_sentence(second)}",
                f"{_sentence(issue)} {_sentence('otherwise, ' + first, ',')} and {second}.",
            )
        )
    filled = {name: rng.choice(values) for name, values in _FILL.items()}
    text = f"{rng.choice(OPENINGS)}{body}{rng.choice(CLOSINGS)}"
    return text.format(n=rng.randrange(12, 90), **filled)


def _sentence(clause: str, end: str = ".") -> str:
    return clause[0].upper() + clause[1:] + end
