"""The tool of react.gen that is a Python function: a very small encyclopedia."""

PAGES = {
    "lamp": "A lamp gives light.",
    "leap year": "A leap year has 366 days; every fourth year is one, but not every hundredth, save every 400th.",
    "bristol": "Bristol is a city in the south-west of England.",
}


def lookup(topic: str) -> str:
    for name, text in PAGES.items():
        if name in topic.lower():
            return text
    raise KeyError(f"there is no page on {topic}")
