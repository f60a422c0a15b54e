"""The data sets that recipes are made of.

Their figures are those of the sources that each entry names, read in 2026; none was downloaded here to count it, so
`asvr data check` has the last word on a copy.
"""

from asvr.data.onevision import ONEVISION
from asvr.data.published import CARD, DOWNLOAD, Published

MANIFEST: dict[str, Published] = {
    "llava-558k": Published(
        title="LLaVA-558K",
        hub="liuhaotian/LLaVA-Pretrain",
        file="blip_laion_cc_sbu_558k.json",
        images="images",
        num_records=558_128,
        gigabytes=27.6,
        licence="other: those of CC-3M, LAION and SBU",
        get=(
            f"{DOWNLOAD} liuhaotian/LLaVA-Pretrain --local-dir llava-558k",
            "unzip -q llava-558k/images.zip -d llava-558k/images",
        ),
        source=f"{CARD}liuhaotian/LLaVA-Pretrain/tree/main",
    ),
    "llava-665k": Published(
        title="LLaVA-1.5-665K",
        hub="liuhaotian/LLaVA-Instruct-150K",
        file="llava_v1_5_mix665k.json",
        images="images",
        num_records=665_298,
        gigabytes=73.3,
        licence="CC BY 4.0, and those of its five picture sources",
        get=(
            f"{DOWNLOAD} liuhaotian/LLaVA-Instruct-150K llava_v1_5_mix665k.json --local-dir llava-665k",
            "mkdir -p llava-665k/images/{coco,gqa,ocr_vqa/images,textvqa,vg} && cd llava-665k/images",
            "curl -LO http://images.cocodataset.org/zips/train2017.zip && unzip -q train2017.zip -d coco",
            "curl -L https://downloads.cs.stanford.edu/nlp/data/gqa/images.zip -o gqa.zip && unzip -q gqa.zip -d gqa",
            "curl -LO https://dl.fbaipublicfiles.com/textvqa/images/train_val_images.zip && "
            "unzip -q train_val_images.zip -d textvqa",
            "curl -L https://cs.stanford.edu/people/rak248/VG_100K_2/images.zip -o vg1.zip && unzip -q vg1.zip -d vg",
            "curl -L https://cs.stanford.edu/people/rak248/VG_100K_2/images2.zip -o vg2.zip && unzip -q vg2.zip -d vg",
            "# OCR-VQA: by the script that LLaVA's README links to, every file saved as .jpg in ocr_vqa/images",
        ),
        note="its pictures are COCO train2017, GQA, OCR-VQA, TextVQA and Visual Genome; OCR-VQA lost some",
        source=f"{CARD}liuhaotian/LLaVA-Instruct-150K/tree/main; github.com/haotian-liu/LLaVA, README; sizes of the "
        "pictures as packed in huggingface.co/leonardPKU/llava1.5_data",
    ),
    "llava-next-779k": Published(
        title="LLaVA-NeXT-779K",
        hub="lmms-lab/LLaVA-NeXT-Data",
        file="records.jsonl",
        images="images",
        num_records=779_289,
        gigabytes=92.0,
        licence="none stated; those of its parts",
        get=(
            f'{DOWNLOAD} lmms-lab/LLaVA-NeXT-Data --include "data/*" --local-dir llava-next-779k/table',
            "asvr data unpack llava-next-779k/table llava-next-779k",
        ),
        note="the data set's own JSON file (llava_next_raw_format) has about 738,000 of the records only",
        source=f"{CARD}lmms-lab/LLaVA-NeXT-Data; github.com/LLaVA-VL/LLaVA-NeXT/issues/259",
    ),
    "bunny-laion-2m": Published(
        title="Bunny-pretrain-LAION-2M",
        hub="BoyaWu10/Bunny-v1_1-data",
        file="pretrain/bunny_pretrain_laion_2m.json",
        images="pretrain/images",
        num_records=2_000_000,
        about=True,
        gigabytes=48.9,
        licence="Apache 2.0; pictures as LAION-2B",
        get=(
            f'{DOWNLOAD} BoyaWu10/Bunny-v1_1-data --include "pretrain/*" --local-dir bunny-laion-2m',
            "cat bunny-laion-2m/pretrain/images.tar.gz.part-* | tar xz -C bunny-laion-2m/pretrain",
        ),
        source=f"{CARD}BoyaWu10/Bunny-v1_1-data/tree/main/pretrain",
    ),
    "bunny-2m": Published(
        title="Bunny-v1_1-data-2M",
        hub="BoyaWu10/Bunny-v1_1-data",
        file="finetune/bunny_llava_allava_2m.json",
        images="finetune/images",
        num_records=2_000_000,
        about=True,
        gigabytes=None,
        licence="Apache 2.0; pictures as their sources",
        get=(
            f'{DOWNLOAD} BoyaWu10/Bunny-v1_1-data --include "finetune/*" --local-dir bunny-2m',
            "cat bunny-2m/finetune/images.tar.gz.part-* | tar xz -C bunny-2m/finetune",
        ),
        source="github.com/BAAI-DCAI/Bunny, script/train/tutorials/Bunny-v1.1-Llama-3-8B-V.md",
    ),
    **ONEVISION,
    "world-captions": Published(
        title="captions of the embedded world",
        hub="",
        file="train_captions.json",
        images="images",
        num_records=1_000,
        gigabytes=0.01,
        licence="Apache 2.0, as this package",
        get=("asvr world make --out world-captions",),
        source="asvr/world, its default size",
    ),
    "world-questions": Published(
        title="questions about the embedded world",
        hub="",
        file="train_instruct.json",
        images="images",
        num_records=1_000,
        gigabytes=0.01,
        licence="Apache 2.0, as this package",
        get=("asvr world make --out world-questions",),
        source="asvr/world, its default size",
    ),
    "world-more-captions": Published(
        title="captions of more of the embedded world",
        hub="",
        file="train_captions.json",
        images="images",
        num_records=3_000,
        gigabytes=0.03,
        licence="Apache 2.0, as this package",
        get=("asvr world make --seed 1 --train 3000 --out world-more-captions",),
        source="asvr/studies/stand_in_data.py: for recipes on more data, shrunk",
    ),
    "world-more-questions": Published(
        title="questions about more of the embedded world",
        hub="",
        file="train_instruct.json",
        images="images",
        num_records=3_000,
        gigabytes=0.03,
        licence="Apache 2.0, as this package",
        get=("asvr world make --seed 1 --train 3000 --out world-more-questions",),
        source="asvr/studies/stand_in_data.py: for recipes on more data, shrunk",
    ),
}
"""Data sets by the name that recipes, the command line and their local folders call them."""
