"""Trained tokenizers by name: published settings, the same for other towers, and one that a laptop trains."""

from dataclasses import replace

from asvr.tokenizer_training.spec import (
    AdversarialSpec,
    AppearanceSpec,
    DecoderSpec,
    PerceptualSpec,
    QuantizerSpec,
    SemanticSpec,
    TokenizerOptimisation,
    TokenizerRecipe,
)

DUALTOKEN = TokenizerRecipe(
    name="dualtoken",
    source="DualToken's published run: both branches at once, 20 rounds of 10M pictures; no text is used",
    data="CC12M (images only)",
    tower="google/siglip2-so400m-patch14-384",
    semantic=SemanticSpec(),
    # It begins in the second half of the first round.
    appearance=AppearanceSpec(adversarial=AdversarialSpec(start=19_531)),
    optimisation=TokenizerOptimisation(steps=781_250),
    crop=0.9,
)

# The released checkpoint: SigLIP's layer 26 as it is, a codebook for each depth, no block before or after.
RELEASED = QuantizerSpec(width=1152, shared=False)
VQ_SIGLIP_12M = replace(
    DUALTOKEN,
    name="vq-siglip-12m",
    source="Table 8 of the ASVR paper (81.6 % zero-shot ImageNet); layout of its release, 20 passes as in DualToken",
    data="12M pictures; the paper does not say which",
    tower="google/siglip-so400m-patch14-384",
    semantic=SemanticSpec(pre="none", post="none", quantizer=RELEASED),
    appearance=AppearanceSpec(
        layers=(6,), pre="conv", post="conv", quantizer=RELEASED, adversarial=AdversarialSpec(start=19_531)
    ),
    optimisation=TokenizerOptimisation(steps=937_500),
)
VQ_SIGLIP_3M = replace(
    VQ_SIGLIP_12M,
    name="vq-siglip-3m",
    source="Table 8 of the ASVR paper (78.6 % zero-shot ImageNet); as vq-siglip-12m, a quarter of the pictures",
    data="3M pictures; the paper does not say which",
    optimisation=TokenizerOptimisation(steps=234_375),
)

SIGLIP2_SEMANTIC = TokenizerRecipe(
    name="siglip2-semantic",
    source="DualToken's semantic branch alone on a tower that stands still: codes of the very SigLIP2 of a model",
    data="a million pictures or more, such as the model's own training pictures",
    tower="google/siglip2-so400m-patch14-384",
    semantic=SemanticSpec(),
    optimisation=TokenizerOptimisation(steps=50_000, warmup_steps=2_000),
    train_tower=False,
)
DINOV3_SEMANTIC = replace(
    SIGLIP2_SEMANTIC,
    name="dinov3-semantic",
    source="Table 10 of the ASVR paper, which does not say how its own was made: as siglip2-semantic",
    tower="facebook/dinov3-vitl16-pretrain-lvd1689m",
    # Its pooled output is the class token, which no tokenizer quantises.
    semantic=SemanticSpec(pooled_weight=0.0),
    image_size=432,
)
DEPTH_ANYTHING_SEMANTIC = replace(
    DINOV3_SEMANTIC,
    name="depth-anything-semantic",
    source="Table 10 of the ASVR paper, which does not say how its own was made: as siglip2-semantic",
    tower="LiheYoung/depth-anything-large-hf",
    image_size=378,
)

SMALL = QuantizerSpec(depth=4, num_codes=256, width=32)
TINY = TokenizerRecipe(
    name="tiny-tokenizer",
    source="dualtoken at laptop size, on the embedded tower",
    data="some thousands of small pictures",
    tower="embedded:tower",
    # The embedded tower has no pooling head.
    semantic=SemanticSpec(quantizer=SMALL, pooled_weight=0.0),
    appearance=AppearanceSpec(
        layers=(2, 1),
        quantizer=SMALL,
        decoder=DecoderSpec(
            width=128, latent=9, latent_channels=64, level_channels=(32, 32, 64, 64), blocks=0, attention_levels=()
        ),
        perceptual=PerceptualSpec(weight=1.0, backbone="embedded:tower", layers=(1, 2)),
        adversarial=AdversarialSpec(start=200, channels=16),
    ),
    optimisation=TokenizerOptimisation(batch_size=16, steps=300, learning_rate=1e-3, warmup_steps=20),
    precision="fp32",
)

TOKENIZER_RECIPES: dict[str, TokenizerRecipe] = {
    recipe.name: recipe
    for recipe in (
        DUALTOKEN,
        VQ_SIGLIP_12M,
        VQ_SIGLIP_3M,
        SIGLIP2_SEMANTIC,
        DINOV3_SEMANTIC,
        DEPTH_ANYTHING_SEMANTIC,
        TINY,
    )
}
"""What `asvr tokenizer train` can train."""
