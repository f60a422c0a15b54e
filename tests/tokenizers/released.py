"""Tiny checkpoints in the layouts of ASVR's release and of DualToken, by the names and shapes of the reference."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import SiglipVisionConfig, SiglipVisionModel

WIDTH, CODES, DEPTH, GRID = 64, 8, 3, (2, 2)
NARROW = 32
DECODER = {
    "ch": 32,
    "out_ch": 3,
    "ch_mult": [1, 2],
    "num_res_blocks": 1,
    "attn_resolutions": [4],
    "in_channels": 3,
    "resolution": 8,
    "decoder_in_channels": 64,
    "double_z": False,
    "dropout": 0.0,
}
Tensors = dict[str, Tensor]


def siglip(layers: int) -> tuple[Tensors, dict[str, Any]]:
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_attention_heads": 2}
    config = SiglipVisionConfig(**sizes, num_hidden_layers=layers, image_size=28, patch_size=14)
    state = SiglipVisionModel(config).state_dict()
    text = {"siglip_model.text_model.head.bias": torch.zeros(2), "siglip_model.logit_scale": torch.zeros(1)}
    return {f"siglip_model.vision_model.{name}": value for name, value in state.items()} | text, config.to_dict()


def norm(name: str, width: int) -> Tensors:
    return {f"{name}.weight": torch.rand(width) + 0.5, f"{name}.bias": torch.randn(width) / 10}


def linear(name: str, in_width: int, out_width: int, kernel: tuple[int, ...] = ()) -> Tensors:
    scale = in_width**-0.5
    weight = torch.randn(out_width, in_width, *kernel) * scale
    return {f"{name}.weight": weight, f"{name}.bias": torch.randn(out_width) / 10}


def residual(name: str, in_width: int, out_width: int, kernel: int) -> Tensors:
    tensors = norm(f"{name}.norm1", in_width) | linear(f"{name}.conv1", in_width, out_width, (kernel, kernel))
    tensors |= norm(f"{name}.norm2", out_width) | linear(f"{name}.conv2", out_width, out_width, (3, 3))
    return tensors | (linear(f"{name}.nin_shortcut", in_width, out_width, (1, 1)) if in_width != out_width else {})


def map_attention(name: str, width: int) -> Tensors:
    parts = [linear(f"{name}.{part}", width, width, (1, 1)) for part in ("q", "k", "v", "proj_out")]
    return {key: value for part in parts for key, value in part.items()} | norm(f"{name}.norm", width)


def decoder() -> Tensors:
    """Two levels, 32 and 64 wide, attention at the coarser one; begins with 64 channels."""
    tensors = residual("post_quant_conv", WIDTH, 64, 1) | linear("decoder.conv_in", 64, 64, (3, 3))
    tensors |= residual("decoder.mid.block_1", 64, 64, 3) | map_attention("decoder.mid.attn_1", 64)
    tensors |= residual("decoder.mid.block_2", 64, 64, 3)
    for block in (0, 1):
        tensors |= residual(f"decoder.up.1.block.{block}", 64, 64, 3) | map_attention(f"decoder.up.1.attn.{block}", 64)
        tensors |= residual(f"decoder.up.0.block.{block}", 32 if block else 64, 32, 3)
    tensors |= linear("decoder.up.1.upsample.conv", 64, 64, (3, 3))
    return tensors | norm("decoder.norm_out", 32) | linear("decoder.conv_out", 32, 3, (3, 3))


def attention(name: str, in_width: int, out_width: int) -> Tensors:
    wide = max(in_width, out_width)
    tensors = norm(f"{name}.norm1", in_width) | norm(f"{name}.norm3", in_width) | norm(f"{name}.norm2", out_width)
    tensors |= linear(f"{name}.proj", in_width, out_width) | linear(f"{name}.attn.proj", out_width, out_width)
    tensors |= norm(f"{name}.mlp.norm", out_width) | linear(f"{name}.mlp.w0", out_width, 2 * out_width)
    tensors |= linear(f"{name}.mlp.w1", out_width, 2 * out_width) | linear(f"{name}.mlp.w2", 2 * out_width, out_width)
    tensors[f"{name}.attn.qkv.weight"] = torch.randn(3 * wide, in_width) * in_width**-0.5
    tensors |= {f"{name}.attn.{bias}": torch.randn(wide) / 10 for bias in ("q_bias", "v_bias")}
    return tensors | {f"{name}.attn.zero_k_bias": torch.zeros(wide)}


def codebooks(name: str, width: int) -> Tensors:
    return {f"{name}.codebooks.{depth}.weight": torch.randn(CODES + 1, width) for depth in range(DEPTH)}


def shared_codebook(name: str, width: int) -> Tensors:
    book, tensors = torch.randn(CODES + 1, width), {}
    for depth in range(DEPTH):
        prefix = f"{name}.codebooks.{depth}"
        tensors |= {f"{prefix}.weight": book, f"{prefix}.cluster_size_ema": torch.ones(CODES)}
        tensors[f"{prefix}.embed_ema"] = book[:-1].clone()
    return tensors


def quantiser(width: int, shared: bool) -> dict[str, Any]:
    return {"code_shape": [*GRID, DEPTH], "n_embed": CODES, "embed_dim": width, "shared_codebook": shared}


def asvr_layout() -> tuple[Tensors, dict[str, Any], dict[str, Any]]:
    """Tensors, configuration and SigLIP configuration; 23 layers, so that the pixel branch reads the second."""
    tensors, tower = siglip(23)
    tensors |= codebooks("quantizer_semantic", WIDTH) | codebooks("quantizer", WIDTH) | decoder()
    tensors |= residual("prequant_visual", WIDTH, WIDTH, 1) | residual("postquant_visual", WIDTH, WIDTH, 1)
    settings = {**quantiser(WIDTH, False), "ddconfig": DECODER, "decoder_latent_shape": [4, 4]}
    return tensors, {"rqvaesiglip": {**settings, "pretrained_model": "somewhere/siglip"}}, tower


def dualtoken_layout() -> tuple[Tensors, dict[str, Any], dict[str, Any]]:
    """Tensors, configuration and SigLIP configuration; three layers, of which each branch reads others."""
    tensors, tower = siglip(3)
    for name in ("prequant_sem", "prequant_pix", "prequant_shortcut"):
        tensors |= attention(name, WIDTH, NARROW)
    for name in ("postquant_sem", "postquant_pix"):
        tensors |= attention(name, NARROW, WIDTH)
    tensors |= shared_codebook("quantizer_sem", NARROW) | shared_codebook("quantizer_pix", NARROW) | decoder()
    layers = {"layer_sem": 3, "layer_recon": 2, "layer_shortcut": 1, "weight_shortcut": 0.6}
    quantisers = {"vq_sem": quantiser(NARROW, True), "vq_pix": quantiser(NARROW, True)}
    settings = {**layers, **quantisers, "ddconfig": DECODER, "decoder_latent_shape": [4, 4]}
    return tensors, {"rqvaesiglip": {**settings, "pretrained_model": "siglip"}}, tower


class Released:
    """A checkpoint's folder, to be spoilt by a test before it is written."""

    def __init__(self, layout: str, folder: Path) -> None:
        self.tensors, self.config, self.tower = {"asvr": asvr_layout, "dualtoken": dualtoken_layout}[layout]()
        self.folder = folder
        self.beside: dict[str, Any] = {"epoch": 1, "name": "tiny", "optimizer": {"step": 3}}

    @property
    def settings(self) -> dict[str, Any]:
        return self.config["rqvaesiglip"]

    def write(self) -> Path:
        (self.folder / "siglip").mkdir(parents=True)
        (self.folder / "siglip" / "config.json").write_text(json.dumps(self.tower))
        (self.folder / "config.json").write_text(json.dumps(self.config))
        torch.save({**self.beside, "state_dict": self.tensors}, self.folder / "epoch_1.pt")
        return self.folder

    def write_in_a_vision_language_model(self) -> Path:
        """Shards of a whole model, whose own configuration lies beside; the tokenizer's is `tokenizer.json`."""
        (self.folder / "siglip").mkdir(parents=True)
        (self.folder / "siglip" / "config.json").write_text(json.dumps(self.tower))
        (self.folder / "config.json").write_text(json.dumps({"model_type": "llava_llama"}))
        (self.folder / "tokenizer.json").write_text(json.dumps(self.config))
        prefix = "model.vision_tokenizer.vision_tower.rqvaesiglip."
        inside = {prefix + name: value.clone() for name, value in self.tensors.items()}
        half = len(inside) // 2
        first, second = dict(list(inside.items())[:half]), dict(list(inside.items())[half:])
        save_file({**first, "model.embed_tokens.weight": torch.zeros(2, 2)}, self.folder / "model-00001.safetensors")
        save_file({**second, "lm_head.weight": torch.zeros(2, 2)}, self.folder / "model-00002.safetensors")
        return self.folder
