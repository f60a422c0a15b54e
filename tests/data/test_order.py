import torch

from asvr.data.order import BLOCKS, SimilarLengths, similar_order

BATCH, BLOCK = 128, 16


def padding_share(batches: list[list[int]]) -> float:
    """Gives the share of positions that are padding, where each batch of lengths is padded to its longest."""
    positions = sum(len(batch) * max(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / positions


def mixture() -> list[int]:
    """Lengths of captions, questions, long answers and text alone, as 576 visual tokens and drawn text."""
    draw = torch.Generator().manual_seed(0)
    text = torch.randn(8192, generator=draw).exp() * 150
    visual = torch.where(torch.rand(8192, generator=draw) < 0.8, 576, 0)
    return (text + visual + 10).clamp(max=2048).long().tolist()


def cut(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def ordered(lengths: list[int], *, block: int = BLOCK, seed: int = 0) -> list[int]:
    return similar_order(lengths, batch_size=BATCH, block=block, seed=seed)


def share(lengths: list[int], order: list[int], micro_batch: int) -> float:
    return padding_share([[lengths[index] for index in part] for part in cut(order, micro_batch)])


def test_padding_is_counted_by_hand() -> None:
    # Of two rows of three positions, and a row of two.
    assert padding_share([[3, 1], [2]]) == 2 / 8


def test_every_conversation_comes_once_and_each_epoch_differs() -> None:
    for count in (1, 15, 16, 17, 1000):
        lengths = mixture()[:count]
        assert sorted(ordered(lengths)) == list(range(count))
    assert ordered(lengths, seed=1) == ordered(lengths, seed=1) != ordered(lengths, seed=2)


def test_padding_stays_below_its_bound_and_five_percent() -> None:
    lengths = mixture()
    # Each part that is sorted loses at most one block times its range of lengths (see BLOCKS); a step sorts again what
    # it is made of, which only brings neighbours nearer.
    parts = len(lengths) / (BLOCKS * BLOCK)
    bound = parts * BLOCK * (max(lengths) - min(lengths)) / sum(lengths)
    assert bound < 0.05
    for micro_batch in (BLOCK, BLOCK // 2, BLOCK // 4):
        assert share(lengths, ordered(lengths), micro_batch) < bound
    drawn = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0)).tolist()
    assert share(lengths, drawn, BLOCK) > bound


def test_a_step_still_mixes_lengths() -> None:
    # A step has eight blocks. Their mean is a mean of eight draws from the blocks' means, so over steps it varies by
    # 1/sqrt(8) of these; were a step one block of 128, by as much as they do.
    lengths = torch.tensor(mixture(), dtype=torch.float)
    blocks = lengths.sort().values.view(-1, BLOCK).mean(1)
    steps = lengths[ordered(mixture())].view(-1, BATCH).mean(1)
    # 64 steps: their standard deviation is known to about one part in sqrt(2 * 64).
    expected = blocks.std() / (BATCH // BLOCK) ** 0.5
    assert abs(steps.std() / expected - 1) < 3 / (2 * len(steps)) ** 0.5


def test_what_a_step_holds_does_not_depend_on_how_it_is_cut() -> None:
    lengths = mixture()[:1000]
    for step in cut(ordered(lengths), BATCH):
        assert [lengths[index] for index in step] == sorted((lengths[index] for index in step), reverse=True)


def test_an_epoch_that_is_begun_again_is_the_same() -> None:
    lengths, done = mixture()[:300], [0]
    sampler = SimilarLengths(lengths, batch_size=BATCH, block=BLOCK, seed=5, steps_done=lambda: done[0])
    assert len(sampler) == 300
    epochs = []
    for done[0] in range(6):
        epochs.append(list(sampler))
    # 300 conversations are three steps.
    assert epochs[0] == epochs[1] == epochs[2] == ordered(lengths, seed=5)
    assert epochs[3] == epochs[4] == epochs[5] == ordered(lengths, seed=6)
