"""Questions about a scene with one-word answers, one function per kind, worded as the NLVR records word theirs."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from random import Random

from asvr.world.scene import COLOURS, SHAPES, Scene, Thing

Asked = tuple[str, str]
"""A question and its answer."""

Kind = Callable[[Scene, Random], Asked | None]
"""Asks one question of a scene, or gives None where the scene allows none of this kind."""


def exist(scene: Scene, rng: Random) -> Asked | None:
    """Asks for a colour and shape: half the time one that is there, half the time any that is not."""
    present = _colour_shapes(scene)
    absent = [(colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in present]
    return _exists(present, absent, rng)


def probe(scene: Scene, rng: Random) -> Asked | None:
    """Probes for hallucination: what is absent has the colour of one thing that is there and the shape of another."""
    present = _colour_shapes(scene)
    colours, shapes = {colour for colour, _ in present}, {shape for _, shape in present}
    absent = sorted((colour, shape) for colour in colours for shape in shapes if (colour, shape) not in present)
    return _exists(present, absent, rng) if absent else None


def count(scene: Scene, rng: Random) -> Asked | None:
    """Asks how many things there are, of a colour, of a shape or in all, every possible number equally often."""
    by_colour = Counter(thing.colour for thing in scene.things)
    by_shape = Counter(thing.shape for thing in scene.things)
    options: dict[int, list[str]] = defaultdict(list)
    for colour in COLOURS:
        options[by_colour[colour]].append(f"{colour} objects")
    for shape in SHAPES:
        options[by_shape[shape]].append(f"{shape}s")
    options[len(scene.things)].append("objects")
    number = rng.choice(sorted(options))
    return f"How many {rng.choice(options[number])} are there?", str(number)


def colour(scene: Scene, rng: Random) -> Asked | None:
    """Asks for the colour of a thing known by its shape or its place."""
    shapes = Counter(thing.shape for thing in scene.things)
    named = [(thing, thing.shape) for thing in scene.things if shapes[thing.shape] == 1]
    return _attribute("colour", named + outermost(scene), rng, lambda thing: thing.colour)


def shape(scene: Scene, rng: Random) -> Asked | None:
    """Asks for the shape of a thing known by its colour or its place."""
    colours = Counter(thing.colour for thing in scene.things)
    named = [(thing, f"{thing.colour} object") for thing in scene.things if colours[thing.colour] == 1]
    return _attribute("shape", named + outermost(scene), rng, lambda thing: thing.shape)


def size(scene: Scene, rng: Random) -> Asked | None:
    """Asks for the size of a thing known by its colour and shape."""
    return _attribute("size", named_things(scene), rng, lambda thing: thing.size)


def reading(scene: Scene, rng: Random) -> Asked | None:
    """Asks for the letter on a thing known by its colour and shape."""
    named = named_things(scene)
    if not named:
        return None
    thing, name = rng.choice(named)
    return f"Which letter is on the {name}?", thing.character


def compare(scene: Scene, rng: Random) -> Asked | None:
    """Asks whether one colour has more things than another; yes and no equally often."""
    counts = Counter(thing.colour for thing in scene.things)
    colours = sorted(counts)
    if len(colours) == 1:
        return None
    more = [(one, other) for one in colours for other in colours if counts[one] > counts[other]]
    not_more = [(one, other) for one in colours for other in colours if one != other and counts[one] <= counts[other]]
    if not more:
        return None
    answer = rng.choice(("yes", "no"))
    one, other = rng.choice(more if answer == "yes" else not_more)
    return f"Are there more {one} objects than {other} objects?", answer


def relation(scene: Scene, rng: Random) -> Asked | None:
    """Asks whether one thing lies left of another or above it; yes and no equally often."""
    named = named_things(scene)
    pairs = [
        (word, one, other)
        for one, one_name in named
        for other, other_name in named
        for word, apart in (("left of", other.column - one.column), ("above", other.row - one.row))
        if apart > 0 and one_name != other_name
    ]
    if not pairs:
        return None
    word, one, other = rng.choice(pairs)
    answer = rng.choice(("yes", "no"))
    first, second = (one, other) if answer == "yes" else (other, one)
    return f"Is the {first.colour} {first.shape} {word} the {second.colour} {second.shape}?", answer


KINDS: Mapping[str, Kind] = {
    "exist": exist,
    "count": count,
    "colour": colour,
    "shape": shape,
    "size": size,
    "compare": compare,
    "relation": relation,
    "reading": reading,
    "probe": probe,
}
"""Every kind of question by the `category` its records carry."""


def ask(scene: Scene, rng: Random, *, number: int) -> list[tuple[str, str, str]]:
    """Asks up to `number` different questions of a scene, going round the kinds in random order.

    Returns:
        (category, question, answer) of each; fewer where a scene has not enough to ask about.
    """
    asked: dict[str, tuple[str, str, str]] = {}
    # Every round repeats some questions, so a few rounds more than the fewest possible.
    for _ in range(number // len(KINDS) + 3):
        for category in rng.sample(sorted(KINDS), len(KINDS)):
            drawn = KINDS[category](scene, rng)
            if drawn is not None and len(asked) < number:
                asked.setdefault(drawn[0], (category, *drawn))
    return list(asked.values())


def named_things(scene: Scene) -> list[tuple[Thing, str]]:
    """Things that their colour and shape tell apart from all others, each with these as its name."""
    counts = Counter((thing.colour, thing.shape) for thing in scene.things)
    return [
        (thing, f"{thing.colour} {thing.shape}") for thing in scene.things if counts[thing.colour, thing.shape] == 1
    ]


def outermost(scene: Scene) -> list[tuple[Thing, str]]:
    """Things that alone are farthest in a direction, each with a name such as `lowest object`."""
    ends = {
        "lowest": lambda thing: thing.row,
        "highest": lambda thing: -thing.row,
        "rightmost": lambda thing: thing.column,
        "leftmost": lambda thing: -thing.column,
    }
    named = []
    for word, distance in ends.items():
        farthest = max(distance(thing) for thing in scene.things)
        there = [thing for thing in scene.things if distance(thing) == farthest]
        if len(there) == 1:
            named.append((there[0], f"{word} object"))
    return named


def article(noun: str) -> str:
    """Gives the noun its indefinite article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _colour_shapes(scene: Scene) -> list[tuple[str, str]]:
    return sorted({(thing.colour, thing.shape) for thing in scene.things})


def _exists(present: Sequence[tuple[str, str]], absent: Sequence[tuple[str, str]], rng: Random) -> Asked:
    answer = rng.choice(("yes", "no"))
    colour, shape = rng.choice(present if answer == "yes" else absent)
    return f"Is there {article(f'{colour} {shape}')}?", answer


def _attribute(
    word: str, named: Sequence[tuple[Thing, str]], rng: Random, read: Callable[[Thing], str]
) -> Asked | None:
    if not named:
        return None
    thing, name = rng.choice(named)
    return f"What {word} is the {name}?", read(thing)
