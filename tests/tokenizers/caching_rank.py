"""Writes a store of codes as one of several processes, and notes how many pictures fell to it."""

import json
import os
import sys
from pathlib import Path

from asvr.data.pictures import find_pictures
from asvr.targets.tokenizer import VisualTokenizer
from asvr.tokenizers.caching import Caching, cache_codes

if __name__ == "__main__":
    tokenizer, images, out = map(Path, sys.argv[1:])
    shares: list[int] = []
    visual, pictures = VisualTokenizer.from_pretrained(tokenizer), find_pictures(str(images))
    cache_codes(visual, pictures, out, Caching(shard_size=4, batch_size=2), on_pictures=shares.append)
    (out.parent / f"done-{os.environ['RANK']}.json").write_text(json.dumps(sum(shares)))
