"""The FLOPs that the paper prints (Tables 6 and 7), by the recipe of the row."""

PAPER_FLOPS: dict[str, float] = {
    "asvr-vicuna-7b": 1.53e19,
    "asvr-next-vicuna-7b": 2.49e19,
    "asvr-bunny-vicuna-7b": 4.52e19,
    "asvr-onevision-vicuna-7b": 7.51e19,
    "asvr-vicuna-13b": 2.58e19,
}

REMARK = (
    "The paper does not say what it counts. From 7B to 13B its figure grows by about 2 FLOPs a parameter and token, a "
    "forward pass alone, beside a constant of about 0.4e19; two points decide no more. Compare its rows with each "
    "other, and ours with ours."
)
"""What a comparison with them is worth."""
