"""Text for the language model: questions about word pictures, and captions alone."""

from random import Random

from asvr.world.questions import ask
from asvr.world.scene import Scene, sample_scene
from asvr.world.words import CAPTION_REQUEST, caption, word_picture

QUESTIONS_PER_SCENE = 10
_CAPTION_EVERY = 8


def word_record(index: int, *, seed: int) -> dict:
    """Makes the conversation number `index` about a word picture: questions, and now and then a caption."""
    scene = language_scene(index, seed=seed)
    rng = Random(f"language {seed} {index}")
    asked = [(question, answer) for _, question, answer in ask(scene, rng, number=QUESTIONS_PER_SCENE)]
    # Captions are long and half chance: asked for more often, they would drown the questions in the loss.
    if index % _CAPTION_EVERY == 0:
        asked.insert(rng.randint(0, len(asked)), (CAPTION_REQUEST, caption(scene, rng)))
    first, *others = asked
    turns = [(f"{word_picture(scene)}\n{first[0]}", first[1]), *others]
    return {"id": f"language-{index}", "conversations": conversation(turns)}


def language_scene(index: int, *, seed: int) -> Scene:
    """Gives the scene of a word picture; some hold one thing only, from which the answers are learnt first."""
    return sample_scene("language", index, seed=seed, num_things=(1, 5))


def caption_record(index: int, *, seed: int) -> dict:
    """Makes the caption number `index`, about nothing that is shown."""
    scene = language_scene(index, seed=seed)
    words = caption(scene, Random(f"caption {seed} {index}"))
    return {"id": f"caption-{index}", "conversations": conversation([(CAPTION_REQUEST, words)])}


def conversation(turns: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Writes questions and answers as LLaVA's records have them."""
    return [
        {"from": speaker, "value": text}
        for question, answer in turns
        for speaker, text in (("human", question), ("gpt", answer))
    ]
