import torch

from asvr.heads.depth_transformer import DepthTransformer
from asvr.heads.release import load_release_weights
from tests.golden.reference import codebooks, needs_reference, read

pytestmark = needs_reference


def release_head() -> tuple[DepthTransformer, dict, dict]:
    """The recorded head takes an already projected state, so our projector becomes the identity."""
    tensors, facts = read("head_d8_e128")
    head = DepthTransformer(128, codebooks(tensors, "aux_quantizer.codebooks."), width=128)
    weights = {
        name: value
        for name, value in tensors.items()
        if name.startswith(("in_mlp_1.", "head_transformer.", "headnorm.weight", "heads."))
    }
    load_release_weights(head, weights, dict(head.projector.state_dict()))
    head.projector = torch.nn.Sequential()
    return head, tensors, facts


def test_logits_and_losses_are_the_release_s() -> None:
    head, tensors, _ = release_head()
    body, codes = tensors["body"].flatten(0, 1), tensors["codes"].flatten(0, 1)
    states = head.states(body, codes)
    torch.testing.assert_close(states, tensors["headnorm_out"], rtol=2e-5, atol=2e-5)
    logits = torch.stack([classifier(states[:, depth]) for depth, classifier in enumerate(head.classifiers)])
    torch.testing.assert_close(logits, tensors["logits"], rtol=2e-5, atol=2e-5)
    scored = head(body, codes)
    torch.testing.assert_close(scored.per_token, tensors["ce_per_position"].mean(1), rtol=2e-5, atol=2e-5)
    for depth in range(8):
        loss = scored.metrics[f"loss_depth_{depth}"].mean()
        torch.testing.assert_close(loss, tensors["ce_per_depth"][depth], rtol=2e-5, atol=2e-5)


def test_gradients_are_the_release_s() -> None:
    head, tensors, facts = release_head()
    body = tensors["body"].flatten(0, 1).requires_grad_()
    codes = tensors["codes"].flatten(0, 1)
    (head(body, codes).total / len(codes)).backward()
    torch.testing.assert_close(body.grad, tensors["grad_body"].flatten(0, 1), rtol=1e-3, atol=1e-6)
    ours = {
        "in_mlp_1.weight": head.code_projection.weight,
        "head_transformer.1.linear1.weight": head.layers[1].expand,
        "head_transformer.2.linear2.weight": head.layers[2].reduce,
        "head_transformer.0.self_attention.in_proj_weight": head.layers[0].qkv.weight,
        "headnorm.weight": head.norm.weight,
        "heads.7.weight": head.classifiers[7].weight,
    }
    for name, parameter in ours.items():
        assert abs(parameter.grad.norm() / facts["grad_norms"][name] - 1) < 1e-3, name


def test_a_code_reaches_only_deeper_logits() -> None:
    head, tensors, facts = release_head()
    body, codes = tensors["body"].flatten(0, 1), tensors["codes"].flatten(0, 1)
    before = head.states(body, codes)
    for depth in range(8):
        changed = codes.clone()
        changed[:, depth] = (changed[:, depth] + 1) % 64
        moved = (head.states(body, changed) != before).flatten(2).any(2).any(0)
        assert moved.tolist() == facts["depth_leak_matrix"]["value"][depth]
