"""How pages are filled in: escaped, and refusing what is missing."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(filters: Mapping[str, Callable[..., str]]) -> Environment:
    """Gives an environment over the templates beside this file, with a page's own filters and `thousands`."""
    made = Environment(
        loader=PackageLoader("asvr.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"thousands": lambda number: f"{number:,}".replace(",", "\u202f"), **filters}
    return made
