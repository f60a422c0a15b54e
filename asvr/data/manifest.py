"""The data sets that recipes are made of: what each is, how large, and how to get it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Published:
    """A public data set of conversations.

    Args:
        title: What papers call it.
        hub: Name of the data set on the Hugging Face hub; empty for one that the package makes itself.
        file: Its records, in LLaVA's format, relative to the local copy.
        num_records: How many there are.
        get: How to get records and pictures, as a sentence.
    """

    title: str
    hub: str
    file: str
    num_records: int
    get: str


MANIFEST: dict[str, Published] = {
    "llava-558k": Published(
        title="LLaVA-558K",
        hub="liuhaotian/LLaVA-Pretrain",
        file="blip_laion_cc_sbu_558k.json",
        num_records=558_128,
        get="download the data set and unpack its images.zip beside the JSON file",
    ),
    "llava-665k": Published(
        title="LLaVA-1.5-665K",
        hub="liuhaotian/LLaVA-Instruct-150K",
        file="llava_v1_5_mix665k.json",
        num_records=665_298,
        get="download the JSON file; its pictures are of COCO train2017, GQA, OCR-VQA, TextVQA and Visual Genome",
    ),
    "llava-next-779k": Published(
        title="LLaVA-NeXT-779K",
        hub="lmms-lab/LLaVA-NeXT-Data",
        file="llava_next_raw_format_processed.json",
        num_records=779_289,
        get="download the data set; its llava_next_raw_format holds the JSON file and the pictures in tar files",
    ),
    "world-captions": Published(
        title="captions of the embedded world",
        hub="",
        file="train_captions.json",
        num_records=1_000,
        get="asvr world make",
    ),
    "world-questions": Published(
        title="questions about the embedded world",
        hub="",
        file="train_instruct.json",
        num_records=1_000,
        get="asvr world make",
    ),
}
"""Data sets by the name that recipes and the command line call them."""
