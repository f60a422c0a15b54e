"""What a trained tokenizer is held to: its teacher's features, and its pictures' captions."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def distillation(student: Float[Tensor, "*batch width"], teacher: Float[Tensor, "*batch width"]) -> Float[Tensor, ""]:
    """Mean squared error plus one minus the cosine, averaged over vectors, in fp32 (DualToken's `train.py`).

    DualToken leaves the one out; with it, the loss of a perfect student is zero. Gradients are the same.
    """
    student, teacher = student.float(), teacher.float()
    return F.mse_loss(student, teacher) + 1 - F.cosine_similarity(student, teacher, dim=-1).mean()


def sigmoid_contrast(
    images: Float[Tensor, "images width"],
    texts: Float[Tensor, "texts width"],
    own: Int[Tensor, " images"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """SigLIP's loss (arXiv 2303.15343, algorithm 1): every image with every text, as a pair or as none.

    The texts are those of the whole optimisation step, also where the images are those of one micro-batch. Since the
    text tower is frozen, averaging over micro-batches and processes gives the whole step's loss and gradient.

    Args:
        images: Pooled outputs.
        texts: Text embeddings of unit length.
        own: Which text is each image's.
        scale: Logit scale, already exponentiated.
        bias: Logit bias.
    """
    logits = F.normalize(images.float(), dim=-1) @ texts.float().T * scale + bias
    signs = 2 * F.one_hot(own, len(texts)) - 1
    return -F.logsigmoid(signs * logits).sum(1).mean()
