"""AnyRes input against the stock LLaVA-NeXT: how many tokens, in which order, and which crops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from asvr.data.layout import ImageLayout, target_index
from asvr.models.any_resolution import any_resolution_processor, crop_preprocessing, pinpoints
from asvr.models.build import build_vlm, empty_vlm
from asvr.models.crops import EachCrop, Tiles, Uncut
from asvr.models.grids import file_layout, image_layout, visual_grid
from asvr.models.visual_input import AnyResInput
from asvr.objective import blank_image
from tests.parts import IMAGE_SIZE, PATCH_SIZE

TILES = ("1x2", "2x1", "2x2", "1x3", "3x1", "2x3", "3x2", "3x3")
SIZES = [(30, 30), (20, 70), (60, 24), (13, 50), (500, 333), (24, 24), (1, 9), (3000, 1)]
"""Heights and widths: larger and smaller than the tower's square of 24, wide, tall, square, and lines."""


def config(image_size: int = IMAGE_SIZE, patch_size: int = PATCH_SIZE) -> LlavaNextConfig:
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlavaNextConfig(
        vision_config=SiglipVisionConfig(**size, image_size=image_size, patch_size=patch_size),
        text_config=LlamaConfig(**size, vocab_size=8),
        image_token_index=7,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=pinpoints(TILES, image_size),
    )


def image_processor(side: int = IMAGE_SIZE):
    return any_resolution_processor(SiglipImageProcessorPil(size={"height": side, "width": side}), TILES, side)


def picture(height: int, width: int) -> Image.Image:
    noise = np.random.default_rng(height * 1000 + width)
    return Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def any_resolution(parts: Path) -> tuple[LlavaNextForConditionalGeneration, LlavaNextProcessor]:
    vlm, processor = build_vlm(
        str(parts / "language_model"), str(parts / "tower"), seed=0, visual_input=AnyResInput(tiles=TILES)
    )
    assert isinstance(vlm, LlavaNextForConditionalGeneration) and isinstance(processor, LlavaNextProcessor)
    return vlm, processor


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
@settings(deadline=None, max_examples=200)
def test_the_layout_has_as_many_tokens_as_the_stock_processor_writes(height: int, width: int) -> None:
    real = config(image_size=384, patch_size=14)
    layout = image_layout(real, (height, width))
    stock = LlavaNextProcessor.__new__(LlavaNextProcessor)
    stock.image_processor, stock.patch_size, stock.num_additional_image_tokens = image_processor(384), 14, 0
    assert layout.num_tokens == stock._get_number_of_features(height, width, 384, 384)
    assert layout.num_positions == 729 * layout.num_crops
    shown = layout.shown[layout.has_target]
    assert len(set(shown.tolist())) == len(shown) and shown.max() < layout.num_positions


def test_the_papers_largest_picture_has_ten_crops_and_a_row_end_for_each_row() -> None:
    # 27 x 27 of the whole, 81 x 81 of nine tiles, 81 row ends.
    layout = image_layout(config(image_size=384, patch_size=14), (1152, 1152))
    assert (layout.num_tokens, int(layout.has_target.sum()), layout.num_crops) == (7371, 7290, 10)


@pytest.mark.parametrize("size", SIZES)
def test_tokens_show_what_the_stock_model_puts_there(size: tuple[int, int]) -> None:
    layout = image_layout(config(), size)
    model = empty_vlm(config()).model
    positions = torch.arange(layout.num_positions, dtype=torch.float32).view(layout.num_crops, -1, 1)
    (packed,), _ = model.pack_image_features([positions], torch.tensor([size]), "full", torch.tensor([-1.0]))
    assert packed.flatten().tolist() == layout.shown.tolist()


@pytest.mark.parametrize("size", SIZES)
def test_crops_for_targets_are_the_model_s_own_to_the_last_bit(size: tuple[int, int]) -> None:
    # Both are 8-bit pixels until they are normalised, by the same arithmetic, so nothing may differ.
    model, tower = image_processor(), SiglipImageProcessorPil(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE})
    image = picture(*size)
    each = EachCrop(lambda crop: tower(crop, return_tensors="pt")["pixel_values"][0], Tiles(model))
    expected = model(image, return_tensors="pt")
    assert expected["image_sizes"].tolist() == [list(size)]
    assert torch.equal(each(image), expected["pixel_values"][0])
    layout = image_layout(config(), size)
    assert len(each(image)) == layout.num_crops == len(Uncut(lambda size: image_layout(config(), size))(image))


def test_the_whole_picture_reaches_a_target_unresized() -> None:
    assert Tiles(image_processor())(picture(100, 90))[0].size == (90, 100)


def test_positions_are_counted_through_the_pictures_of_a_batch() -> None:
    row_end = ImageLayout(torch.tensor([2, 0, -1]), num_crops=3, num_positions=3)
    assert target_index([ImageLayout.plain(2), row_end, ImageLayout.plain(1)]).tolist() == [0, 1, 4, 2, 5]
    assert target_index([ImageLayout.plain(2), ImageLayout.plain(3)]) is None and target_index([]) is None


def test_a_picture_without_a_size_is_refused_by_its_record(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text", "none"):
        with pytest.raises(ValueError, match=rf"{name}\.png: record 'a' needs this image, but it cannot be read"):
            file_layout(config(), tmp_path / f"{name}.png", record="a")


def test_the_size_is_read_where_it_matters_and_without_the_camera_s_orientation(tmp_path: Path) -> None:
    sideways = Image.Exif()
    sideways[0x0112] = 6
    Image.new("RGB", (70, 20)).save(tmp_path / "a.jpg", exif=sideways)
    layout = file_layout(config(), tmp_path / "a.jpg", record="a")
    assert layout.shown.tolist() == image_layout(config(), (20, 70)).shown.tolist()
    plain = LlavaConfig(vision_config=config().vision_config, vision_feature_select_strategy="full")
    assert file_layout(plain, tmp_path / "none.png", record="a").in_order and visual_grid(config()) == (2, 2)


@pytest.mark.parametrize("tiles", [(), ("1x2", "2"), ("0x2",), ("2x2x2",), ("1 x 2",)])
def test_what_is_no_layout_of_tiles_is_refused(tiles: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"model\.visual_input\.tiles is .* must be written ROWSxCOLUMNS"):
        AnyResInput(tiles=tiles)


def test_a_crop_is_prepared_as_the_tower_s_own_processor_would() -> None:
    tower = SiglipImageProcessorPil(size={"height": 24, "width": 24}, image_mean=[0.1, 0.2, 0.3], resample=2)
    made = crop_preprocessing(any_resolution_processor(tower, ("1x2",), 24))
    theirs = crop_preprocessing(tower)
    assert made == {name: theirs[name] for name in made} and theirs.keys() - made.keys() == {"image_processor_type"}
    # Crops are square already, so the centre crop of CLIP has nothing to do.
    clip = any_resolution_processor(CLIPImageProcessorPil(size={"shortest_edge": 24}), ("1x2",), 24)
    assert clip(picture(40, 60), return_tensors="pt")["pixel_values"].shape == (1, 3, 3, 24, 24)


def test_only_the_seed_decides_what_is_fresh(any_resolution, parts: Path) -> None:
    vlm, _ = any_resolution
    names = (str(parts / "language_model"), str(parts / "tower"))
    again, _ = build_vlm(*names, seed=0, visual_input=AnyResInput(tiles=("2x2",)))
    other, _ = build_vlm(*names, seed=1, visual_input=AnyResInput(tiles=TILES))
    plain, _ = build_vlm(*names, seed=0)
    newline = vlm.model.image_newline
    assert torch.equal(newline, again.model.image_newline) and not torch.equal(newline, other.model.image_newline)
    # As LLaVA-NeXT draws it: normal, of variance 1 / 32.
    assert newline.shape == (32,) and 0.5 < newline.std() * 32**0.5 < 1.5
    ours, theirs = (one.model.multi_modal_projector.state_dict() for one in (vlm, plain))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_is_saved_is_a_stock_llava_next_with_its_processor(any_resolution, tmp_path: Path) -> None:
    vlm, processor = any_resolution
    vlm.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert type(loaded) is LlavaNextForConditionalGeneration
    assert torch.equal(loaded.model.image_newline, vlm.model.image_newline)
    same = AutoProcessor.from_pretrained(tmp_path, backend="pil")
    assert type(same) is LlavaNextProcessor and same.image_processor.to_dict() == processor.image_processor.to_dict()
    alone = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    # The first three of TILES: 1x2, 2x1 and 2x2 squares of 24 pixels.
    assert alone.image_grid_pinpoints[:3] == [[24, 48], [48, 24], [48, 48]]


def test_a_clip_tower_loses_its_class_token(parts: Path, tmp_path: Path) -> None:
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**size, image_size=24, patch_size=12)).save_pretrained(tmp_path)
    CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}).save_pretrained(tmp_path)
    vlm, processor = build_vlm(
        str(parts / "language_model"), str(tmp_path), seed=0, visual_input=AnyResInput(tiles=TILES)
    )
    image = picture(20, 70)
    inputs = processor(text="<image>", images=image, return_tensors="pt", add_special_tokens=False)
    assert inputs["input_ids"].shape[1] == image_layout(vlm.config, (20, 70)).num_tokens
    vlm(**inputs)


def test_a_picture_of_zeros_is_one_that_the_model_takes(any_resolution) -> None:
    vlm, _ = any_resolution
    (features,) = vlm.get_image_features(**blank_image(vlm), return_dict=True).pooler_output
    assert len(features) == image_layout(vlm.config, (IMAGE_SIZE, IMAGE_SIZE)).num_tokens
