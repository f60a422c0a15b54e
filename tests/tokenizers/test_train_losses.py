import math

import pytest
import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast, SiglipModel

from asvr.tokenizer_training.adversarial import (
    AdaptiveWeight,
    PatchDiscriminator,
    discriminator_loss,
    generator_loss,
)
from asvr.tokenizer_training.captions import load_caption_tower
from asvr.tokenizer_training.losses import distillation, sigmoid_contrast
from asvr.tokenizers.ranks import Ranks
from tests.tokenizers.trained import write_siglip


def test_distillation_is_the_squared_error_plus_one_minus_the_cosine() -> None:
    student, teacher = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, 2.0]])
    # Squared errors 1, 1, 1, 4; cosines 24/25 and 0.
    assert distillation(student, teacher).item() == pytest.approx(7 / 4 + 1 - (24 / 25) / 2)
    assert distillation(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_contrast_is_siglip_s_own_loss_and_captions_are_embedded_as_it_does(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = write_siglip(tmp_path_factory.mktemp("siglip"), tokenizer)
    model, captions = SiglipModel.from_pretrained(folder), ["a red box", "two blue circles", "yes"]
    ids = tokenizer(captions, padding="max_length", max_length=12, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model(input_ids=ids, pixel_values=torch.randn(3, 3, 16, 16), return_loss=True)
    tower = load_caption_tower(str(folder))
    texts = tower(captions)
    torch.testing.assert_close(texts, expected.text_embeds)
    images = expected.vision_model_output.pooler_output
    own = torch.arange(3)
    loss = sigmoid_contrast(images, texts, own, tower.scale, tower.bias)
    torch.testing.assert_close(loss, expected.loss)
    # Images one by one, each against all texts, average to the same.
    single = [sigmoid_contrast(images[i : i + 1], texts, own[i : i + 1], tower.scale, tower.bias) for i in range(3)]
    torch.testing.assert_close(torch.stack(single).mean(), expected.loss)


def test_a_vision_tower_alone_has_no_contrast() -> None:
    with pytest.raises(ValueError, match=r"embedded:tower .* 'siglip_vision_model'.*semantic.contrastive_weight=0"):
        load_caption_tower("embedded:tower")


def test_hinge_losses() -> None:
    real, decoded = torch.tensor([2.0, 0.5, 1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert discriminator_loss(real, decoded).item() == pytest.approx((0.5 / 3 + (0 + 1 + 2) / 3) / 2)
    assert generator_loss(decoded).item() == pytest.approx(2 / 3)


def test_the_discriminator_judges_patches_of_each_picture_by_itself() -> None:
    torch.manual_seed(0)
    critic, pixels = PatchDiscriminator(4, 3), torch.randn(3, 3, 32, 32)
    logits = critic(pixels)
    assert logits.shape == (3, 1, 4, 4)
    torch.testing.assert_close(critic(pixels[1:2]), logits[1:2])
    assert PatchDiscriminator(64, 3)(torch.zeros(1, 3, 27, 27)).shape == (1, 1, 4, 4)


def test_the_adaptive_weight_is_the_ratio_of_gradients_over_the_whole_step_one_step_late() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, requires_grad=True)
    inputs, targets, critic = torch.randn(8, 3), torch.randn(8, 4), torch.randn(4)
    adaptive = AdaptiveWeight()

    def losses(part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        found = inputs[part] @ weight.T
        return F.mse_loss(found, targets[part]), -(found @ critic).mean()

    for part in (slice(0, 4), slice(4, 8)):
        adaptive.see(*losses(part), weight)
    assert adaptive.value == 0
    adaptive.update(Ranks())
    reconstruction, adversarial = losses(slice(0, 8))
    (first,) = torch.autograd.grad(reconstruction, weight, retain_graph=True)
    (second,) = torch.autograd.grad(adversarial, weight)
    expected = math.sqrt(first.square().sum()) / math.sqrt(second.square().sum())
    assert 0.3 < expected < 10
    assert adaptive.value.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("scale", "bound"), [(1e-3, 0.3), (1e3, 10.0)])
def test_the_adaptive_weight_is_bounded(scale: float, bound: float) -> None:
    weight, adaptive = torch.ones(2, requires_grad=True), AdaptiveWeight()
    adaptive.see(scale * weight.sum(), weight.sum(), weight)
    adaptive.update(Ranks())
    assert adaptive.value.item() == pytest.approx(bound)
    # A step without the discriminator leaves it.
    adaptive.update(Ranks())
    assert adaptive.value.item() == pytest.approx(bound)
