import torch
from torch.nn import functional as F
from transformers import SiglipVisionModel

from asvr.world.contrast import RegionContrast, half, patches_in
from asvr.world.regions import Region
from asvr.world.tower import TowerSize, tower_config

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def test_patches_belong_to_the_box_that_holds_their_centre() -> None:
    # Of a 2 x 2 grid, raster order: the left half is patches 0 and 2.
    assert patches_in(LEFT, grid=2).tolist() == [1, 0, 1, 0]
    assert patches_in((0.0, 0.0, 1.0, 1.0), grid=2).tolist() == [1, 1, 1, 1]
    # Too small to hold a centre: the patch that its own centre lies in.
    assert patches_in((0.6, 0.6, 0.7, 0.7), grid=2).tolist() == [0, 0, 0, 1]


def test_halves_are_means_over_half_of_the_marked_patches() -> None:
    inside = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0, 1.0]])
    seen = torch.stack([half(inside) for _ in range(100)])
    assert torch.equal(seen.sum(-1), torch.ones(100, 3))
    assert not (seen * (1 - inside)).any()
    assert seen[:, 0].unique().tolist() == [0, 0.5]
    # Every marked patch has its turn.
    assert torch.equal(seen.amax(0) > 0, inside > 0)


def test_loss_is_the_sigmoid_contrast_written_out_pair_by_pair() -> None:
    torch.manual_seed(0)
    tower = SiglipVisionModel(tower_config(TowerSize(image_size=8, patch_size=4, hidden_size=8, num_layers=2))).eval()
    model = RegionContrast(tower, ["blue", "circle", "red"], dim=4)
    pixels = torch.randn(1, 3, 8, 8)
    red, blue = ("red", "circle"), ("blue", "circle")
    # One patch each, so that the random half is that patch.
    boxes = ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))
    loss = model(pixels, [[Region(boxes[0], red), Region(boxes[1], blue)]])
    patches = tower(pixel_values=pixels).last_hidden_state[0]
    word = {"blue": model.words.weight[0], "circle": model.words.weight[1], "red": model.words.weight[2]}
    texts = [(word["blue"], {blue}), (word["circle"], {red, blue}), (word["red"], {red})]
    texts += [(word["blue"] + word["circle"], {blue}), (word["red"] + word["circle"], {red})]
    total = torch.tensor(0.0)
    for patch, said in ((patches[0], red), (patches[3], blue)):
        for text, described in texts:
            cosine = F.cosine_similarity(model.projection(patch), text, dim=0)
            logit = cosine * model.log_scale.exp() + model.bias
            total = total - F.logsigmoid(logit if said in described else -logit)
    torch.testing.assert_close(loss, total / 2)
