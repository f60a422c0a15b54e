from asvr.world.scene import SPLITS, sample_scene, split_of


def test_a_scene_belongs_to_the_split_it_was_drawn_for() -> None:
    for split in SPLITS:
        assert all(split_of(sample_scene(split, index, seed=3)) == split for index in range(50))


def test_no_scene_is_in_two_splits() -> None:
    # From what was drawn alone, without asking which split a scene says it is in.
    drawn = {split: {sample_scene(split, index, seed=0) for index in range(300)} for split in SPLITS}
    for one in SPLITS:
        for other in SPLITS:
            assert one == other or not drawn[one] & drawn[other]


def test_a_scene_depends_on_nothing_but_its_number_and_the_seed() -> None:
    alone = sample_scene("train", 7, seed=0)
    assert alone == [sample_scene("train", index, seed=0) for index in range(8)][-1]
    assert alone != sample_scene("train", 7, seed=1)


def test_things_lie_in_cells_of_their_own_in_raster_order() -> None:
    for index in range(200):
        cells = [thing.cell for thing in sample_scene("test", index, seed=0, num_things=(3, 8)).things]
        assert cells == sorted(set(cells))
        assert 3 <= len(cells) <= 8
