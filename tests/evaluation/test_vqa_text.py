import hashlib
import json

import pytest

from asvr.evaluation.vqa_text import CONTRACTIONS, normalise_evalai, normalise_vlmevalkit


def test_the_contractions_are_the_challenges() -> None:
    """SHA-256 of the sorted table in lmms-eval's `vqa_eval_metric.py` and in VLMEvalKit's `vqa_eval.py`.

    Both have 120 entries; 4 with a capital and 2 that change nothing are left out here.
    """
    table = json.dumps(sorted(CONTRACTIONS.items())).encode()
    assert hashlib.sha256(table).hexdigest() == "853d25c89947b7f6d41f6c5f81b2d6c3119927f4b16f557fc1b03af6ef45605e"
    assert len(CONTRACTIONS) == 120 - 4 - 2


@pytest.mark.parametrize(
    ("text", "evalai", "vlmevalkit"),
    [
        # The examples of benchmarks.md, section 1.
        ("U.S.A.", "usa", "usa"),
        ("5.", "5", "5."),
        ("3.5", "3.5", "3.5"),
        (".5", ".5", ".5"),
        ("v2.0", "v2.0", "v2.0"),
        ("red,white,blue", "redwhiteblue", "red white blue"),
        ("Macy's", "macy 's", "macy's"),
        ("The two  dogs\nand a\tcat dont", "2 dogs and cat don't", "2 dogs and cat don't"),
        # A mark beside a space anywhere is deleted everywhere; otherwise it parts words.
        ("x-y - z", "xy z", "xy z"),
        ("b-c", "b c", "b c"),
        # A comma between digits makes VLMEvalKit delete every mark; EvalAI has no commas by then.
        ("1,000/b", "1000 b", "1000b"),
        ("%$#&:*'", "%$#&:*'", "%$#&:*'"),
        ("", "", ""),
        ("the", "", ""),
        ("İstanbul", "i̇stanbul", "i̇stanbul"),
        # Only the first 32 periods are deleted.
        ("." * 40, "." * 8, "." * 8),
    ],
)
def test_normal_forms(text: str, evalai: str, vlmevalkit: str) -> None:
    assert normalise_evalai(text) == evalai
    assert normalise_vlmevalkit(text) == vlmevalkit
