import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import save_file

from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.importing import import_tokenizers
from tests.tokenizers.released import CODES, Released

LAYOUTS = ("asvr", "dualtoken")


def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_imported_survives_saving(layout: str, tmp_path: Path) -> None:
    for name, tokenizer in import_tokenizers(Released(layout, tmp_path / "released").write()).items():
        tokenizer.save_pretrained(tmp_path / name)
        again = VisualTokenizer.from_pretrained(tmp_path / name)
        codes = tokenizer.encode(pixels())
        assert torch.equal(again.encode(pixels()), codes) and codes.unique().numel() > 2
        assert torch.equal(again.reconstruct(codes), tokenizer.reconstruct(codes))
        assert again.identity() == tokenizer.identity() and again.about == tokenizer.about
        if name == "appearance":
            # The decoder begins at 4x4 and has two levels, of which one doubles.
            assert again.decode(codes).shape == (2, 3, 8, 8)
            assert torch.equal(again.decode(codes), tokenizer.decode(codes))


def test_the_layers_are_the_release_s_and_those_of_dualtoken_s_configuration(tmp_path: Path) -> None:
    tokenizers = {layout: import_tokenizers(Released(layout, tmp_path / layout).write()) for layout in LAYOUTS}
    layers = {(layout, name): one.features.layer for layout, both in tokenizers.items() for name, one in both.items()}
    # Of 23 layers the release reads the last but one, and the one 21 before the last.
    assert layers == {
        ("asvr", "semantic"): 22,
        ("asvr", "appearance"): 2,
        ("dualtoken", "semantic"): 3,
        ("dualtoken", "appearance"): (2, 1),
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_codebooks_lose_their_padding_row_and_are_stored_once_if_shared(layout: str, tmp_path: Path) -> None:
    released = Released(layout, tmp_path / "released")
    books = import_tokenizers(released.write(), only="semantic")["semantic"].quantizer.books
    name = {"asvr": "quantizer_semantic", "dualtoken": "quantizer_sem"}[layout]
    assert books.shape[:2] == ({"asvr": 3, "dualtoken": 1}[layout], CODES)
    for depth, book in enumerate(books):
        assert torch.equal(book, released.tensors[f"{name}.codebooks.{depth}.weight"][:CODES])


def test_it_says_where_it_comes_from(tmp_path: Path) -> None:
    folder = Released("dualtoken", tmp_path / "released").write()
    about = import_tokenizers(folder, only="appearance")["appearance"].about
    digest = hashlib.sha256((folder / "epoch_1.pt").read_bytes()).hexdigest()
    assert about["sha256"] == {"epoch_1.pt": digest}
    assert (about["layout"], about["branch"], about["epoch"], about["name"]) == ("DualToken", "appearance", 1, "tiny")
    assert "torch" in about["environment"]["versions"]


def test_a_whole_model_in_shards_holds_the_same_tokenizer(tmp_path: Path) -> None:
    released = Released("asvr", tmp_path / "model")
    folder = released.write_in_a_vision_language_model()
    inside = import_tokenizers(folder, config=folder / "tokenizer.json")
    released.folder = tmp_path / "alone"
    alone = import_tokenizers(released.write())
    for name, tokenizer in alone.items():
        assert inside[name].identity() == tokenizer.identity()
    # The embeddings and the head of the language model.
    assert inside["semantic"].about["tensors"]["of_a_model_around"] == 2
    with pytest.raises(ValueError, match=r"config.json has no `rqvaesiglip`.*--config"):
        import_tokenizers(folder)


def test_half_precision_weights_become_fp32(tmp_path: Path) -> None:
    released = Released("asvr", tmp_path / "released")
    released.tensors = {name: value.bfloat16() for name, value in released.tensors.items()}
    tokenizer = import_tokenizers(released.write())["appearance"]
    assert {value.dtype for value in tokenizer.state_dict().values()} == {torch.float32}
    name = "quantizer.codebooks.0.weight"
    assert torch.equal(tokenizer.quantizer.books[0], released.tensors[name][:CODES].float())


def test_the_tokenizer_that_is_not_wanted_may_be_absent(tmp_path: Path) -> None:
    released = Released("asvr", tmp_path / "released")
    wanted = ("siglip_model.", "quantizer_semantic.")
    released.tensors = {name: value for name, value in released.tensors.items() if name.startswith(wanted)}
    folder = released.write()
    assert set(import_tokenizers(folder, only="semantic")) == {"semantic"}
    with pytest.raises(ValueError, match=r"prequant_visual.norm1.weight is missing; .* and \d+ more"):
        import_tokenizers(folder)


class Trap:
    """A pickle that writes a file when it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def rename(old: str, new: str) -> Callable[[Released], object]:
    def spoil(released: Released) -> None:
        released.tensors = {name.replace(old, new): value for name, value in released.tensors.items()}

    return spoil


def without(prefix: str) -> Callable[[Released], object]:
    def spoil(released: Released) -> None:
        released.tensors = {name: value for name, value in released.tensors.items() if not name.startswith(prefix)}

    return spoil


def narrower(released: Released) -> None:
    released.settings["vq_sem"]["embed_dim"] = 16


def add(name: str) -> Callable[[Released], object]:
    return lambda released: released.tensors.__setitem__(name, torch.ones(2))


SPOILT: dict[str, tuple[str, Callable[[Released], object], list[str]]] = {
    "codebook missing": (
        "asvr",
        without("quantizer_semantic.codebooks.1"),
        ["quantizer_semantic.codebooks.1.weight is missing", "must be of one model"],
    ),
    "layer of the tower missing": (
        "dualtoken",
        without("siglip_model.vision_model.encoder.layers.1.mlp.fc2.bias"),
        ["epoch_1.pt: siglip_model.vision_model.encoder.layers.1.mlp.fc2.bias is missing"],
    ),
    "tensor without a place": ("asvr", add("quantizer.usage"), ["quantizer.usage has no place in this layout"]),
    "network without a place": ("dualtoken", add("adapter.weight"), ["adapter.weight has no place in this layout"]),
    "another width": ("dualtoken", narrower, ["prequant_sem.proj.weight is 32x64, not 16x64"]),
    "more codes than the configuration says": (
        "asvr",
        lambda released: released.settings.update(n_embed=4),
        ["quantizer_semantic.codebooks.0.weight is 9x64, not 5x64"],
    ),
    "shared codebook that is not": (
        "dualtoken",
        lambda released: released.tensors.__setitem__("quantizer_pix.codebooks.2.weight", torch.ones(CODES + 1, 32)),
        ["quantizer_pix.codebooks.2.weight is not quantizer_pix.codebooks.0.weight, though the codebook is shared"],
    ),
    "bias of the keys": (
        "dualtoken",
        lambda released: released.tensors["postquant_sem.attn.zero_k_bias"].add_(1),
        ["postquant_sem.attn.zero_k_bias is not zero"],
    ),
    "older than the release": (
        "asvr",
        rename("prequant_visual", "prequant_semantic"),
        ["another layout, older than ASVR's release", "(prequant_semantic)", "its parts are decoder, post_quant_conv"],
    ),
    "DualToken's first": (
        "dualtoken",
        rename("quantizer_pix", "quantizer_pixel"),
        ["another layout, DualToken's first of March 2026", "(quantizer_pixel)"],
    ),
    "DualToken's second": (
        "dualtoken",
        without("prequant_sem."),
        ["another layout, DualToken's before", "(quantizer_sem without prequant_sem)"],
    ),
    "no tokenizer at all": (
        "asvr",
        rename("quantizer_semantic", "classifier"),
        ["is no tokenizer of ASVR's release", "classifier, decoder"],
    ),
    "unknown beside the weights": (
        "dualtoken",
        lambda released: released.beside.update(discriminator={}),
        ["epoch_1.pt holds 'discriminator' beside its weights"],
    ),
    "no tensor": (
        "dualtoken",
        lambda released: released.tensors.__setitem__("prequant_sem.heads", 2),  # type: ignore[arg-type]
        ["'prequant_sem.heads' is no tensor"],
    ),
    "too few layers": (
        "asvr",
        lambda released: released.tower.update(num_hidden_layers=21),
        ["vision tower of 21 layers", "--only semantic"],
    ),
    "incomplete configuration": (
        "dualtoken",
        lambda released: released.settings.pop("layer_sem"),
        ["lacks 'layer_sem' under `rqvaesiglip`"],
    ),
    "another kind of tower": (
        "asvr",
        lambda released: released.tower.update(model_type="clip_vision_model"),
        ["siglip is a clip_vision_model", "--tower"],
    ),
}


@pytest.mark.parametrize("kind", list(SPOILT))
def test_a_checkpoint_that_is_not_whole_and_known_leaves_nothing(kind: str, tmp_path: Path, asvr: Callable) -> None:
    layout, spoil, words = SPOILT[kind]
    released = Released(layout, tmp_path / "released")
    spoil(released)
    code, said = asvr(["tokenizer", "import", str(released.write()), "--out", str(tmp_path / "out")])
    assert code == 1, said
    assert said.startswith("error: ") and all(word in said for word in words), said
    assert not (tmp_path / "out").exists()


def truncated(folder: Path) -> None:
    file = folder / "epoch_1.pt"
    file.write_bytes(file.read_bytes()[:-1000])


def truncated_shard(folder: Path) -> None:
    (folder / "epoch_1.pt").unlink()
    save_file({"a": torch.ones(9)}, folder / "model.safetensors")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-4])


def not_an_archive(folder: Path) -> None:
    (folder / "epoch_1.pt").write_text("<html>Quota exceeded</html>")


def another_archive(folder: Path) -> None:
    with ZipFile(folder / "epoch_1.pt", "w") as archive:
        archive.writestr("read.me", "nothing")


def two_checkpoints(folder: Path) -> None:
    (folder / "epoch_2.pt").touch()


def trap(folder: Path) -> None:
    torch.save({"state_dict": {}, "name": Trap(folder / "sprung")}, folder / "epoch_1.pt")


FILES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "truncated": (truncated, ["epoch_1.pt is no archive of torch.save", "cut short"]),
    "page of a download site": (not_an_archive, ["epoch_1.pt is no archive of torch.save", "fetch it again"]),
    "archive of something else": (another_archive, ["epoch_1.pt cannot be read", "it is damaged"]),
    "shard cut short": (truncated_shard, ["model.safetensors cannot be read", "it is damaged"]),
    "pickle that runs code": (trap, ["epoch_1.pt holds other things than tensors", "not unpickled"]),
    "several": (two_checkpoints, ["holds 2 checkpoints (epoch_1.pt, epoch_2.pt): give the file of one"]),
    "none": (lambda folder: (folder / "epoch_1.pt").unlink(), ["holds no checkpoint (*.pt"]),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), ["no", "config.json", "--config"]),
    "configuration cut short": (lambda folder: (folder / "config.json").write_text('{"rq'), ["config.json is no JSON"]),
    "no tower": (
        lambda folder: (folder / "siglip" / "config.json").unlink(),
        ["siglip/config.json, the configuration of the vision tower", "--tower, such as google/siglip-so400m"],
    ),
}


@pytest.mark.parametrize("kind", list(FILES))
def test_files_that_cannot_be_read_say_so(kind: str, tmp_path: Path, asvr: Callable) -> None:
    spoil, words = FILES[kind]
    folder = Released("dualtoken", tmp_path / "released").write()
    spoil(folder)
    code, said = asvr(["tokenizer", "import", str(folder), "--out", str(tmp_path / "out")])
    assert code == 1, said
    assert said.startswith("error: ") and all(word in said for word in words), said
    assert not (tmp_path / "out").exists() and not (folder / "sprung").exists()


def test_the_trap_would_spring(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "sprung")))
    assert (tmp_path / "sprung").exists()


def test_the_tower_s_configuration_may_be_elsewhere(tmp_path: Path, asvr: Callable) -> None:
    folder = Released("dualtoken", tmp_path / "released").write()
    tower = (folder / "siglip").rename(tmp_path / "tower")
    file, out = folder / "epoch_1.pt", tmp_path / "out"
    given = ["--out", str(out), "--tower", str(tower), "--only", "appearance"]
    code, said = asvr(["tokenizer", "import", str(file), *given])
    assert code == 0, said
    assert [path.name for path in out.iterdir()] == ["appearance"]
    assert json.loads((out / "appearance" / "visual_tokenizer.json").read_text())["about"]["layout"] == "DualToken"
