"""Tiny random checkpoints of every published kind, in their stock classes, as their hub folders hold them."""

import json
from pathlib import Path

import torch
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    DPTImageProcessorPil,
    PreTrainedModel,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    ViTImageProcessorPil,
)
from transformers.image_processing_utils import BaseImageProcessor

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
SEEN = {**SIZES, "image_size": 24, "patch_size": 8}
"""Of a tower of square pictures: three rows of three patches."""
TEXT = {**SIZES, "intermediate_size": 32, "vocab_size": 16}
SIDE = {"height": 24, "width": 24}
CROPPED = {"size": {"shortest_edge": 32}, "crop_size": SIDE}
FIXED = ("siglip", "clip", "dinov2", "dinov2-registers", "dinov3", "depth-anything")
"""Kinds with square pictures; "siglip2-naflex" is the other."""

# What `facebook/dinov3-*` on the hub hold.
DINOV3_PROCESSOR = {
    "crop_size": None,
    "data_format": "channels_first",
    "default_to_square": True,
    "device": None,
    "disable_grouping": None,
    "do_center_crop": None,
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "DINOv3ViTImageProcessorFast",
    "image_std": [0.229, 0.224, 0.225],
    "input_data_format": None,
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "return_tensors": None,
    "size": SIDE,
}


def write_checkpoint(kind: str, folder: Path, *, patch_size: int = 8) -> Path:
    torch.manual_seed(0)
    model, processor = parts(kind, patch_size)
    # Freshly made, class and register tokens and position embeddings are small or zero: without effect on anything.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if kind == "dinov3":
        (folder / "preprocessor_config.json").write_text(json.dumps(DINOV3_PROCESSOR))
    return folder


def parts(kind: str, patch_size: int) -> tuple[PreTrainedModel, BaseImageProcessor]:
    seen = {**SEEN, "patch_size": patch_size}
    wide = {**seen, "intermediate_size": 32}
    if kind == "siglip":
        return SiglipModel(SiglipConfig(text_config=TEXT, vision_config=wide)), SiglipImageProcessorPil(size=SIDE)
    if kind == "siglip2-naflex":
        naflex = {**SIZES, "intermediate_size": 32, "patch_size": 8, "num_patches": 16}
        processor = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=12)
        return Siglip2Model(Siglip2Config(text_config=TEXT, vision_config=naflex)), processor
    if kind == "clip":
        return CLIPModel(CLIPConfig(text_config=TEXT, vision_config=wide)), CLIPImageProcessorPil(**CROPPED)
    if kind == "dinov2":
        return Dinov2Model(Dinov2Config(**seen)), BitImageProcessorPil(**CROPPED)
    if kind == "dinov2-registers":
        config = Dinov2WithRegistersConfig(**seen, num_register_tokens=3)
        return Dinov2WithRegistersModel(config), BitImageProcessorPil(**CROPPED)
    if kind == "dinov3":
        # Its own image processor needs torchvision.
        return DINOv3ViTModel(DINOv3ViTConfig(**wide, num_register_tokens=4)), ViTImageProcessorPil(size=SIDE)
    assert kind == "depth-anything"
    backbone = Dinov2Config(**seen, out_indices=[1, 2, 3], reshape_hidden_states=False)
    sizes = {"reassemble_hidden_size": 16, "neck_hidden_sizes": [4, 8, 16], "fusion_hidden_size": 8}
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=patch_size, reassemble_factors=[4, 2, 1], head_hidden_size=4, **sizes
    )
    processor = DPTImageProcessorPil(size=SIDE, keep_aspect_ratio=True, ensure_multiple_of=8)
    return DepthAnythingForDepthEstimation(config), processor


def write_autoencoder(folder: Path, *, levels: int = 2, **values: object) -> Path:
    """`diffusers`' class, with four latent channels; each level but the last halves the picture."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(0)
    down, up = ("DownEncoderBlock2D",) * levels, ("UpDecoderBlock2D",) * levels
    blocks = {"down_block_types": down, "up_block_types": up, "block_out_channels": (4,) * levels}
    AutoencoderKL(**blocks, norm_num_groups=2, mid_block_add_attention=False, **values).save_pretrained(folder)
    return folder
