"""The data sets of LLaVA-OneVision's stages, as far as they are public: Table 2's 558K / 4M / 4M without the 558K.

Its middle stage read 4M records; one of their eight sources, 92 thousand records in Chinese, was never released.
"""

from asvr.data.published import CARD, DOWNLOAD, Published

_ONEVISION = "arXiv 2408.03326, section 4.1; LLaVA-VL/LLaVA-NeXT, scripts/train/mid_stage.yaml"
_RECAP = (
    "a question is <image> alone; OneVision's authors added one line of text to each (scripts/train/README.md), which "
    "--prompt adds"
)
_PROMPT = '--prompt "Please generate detailed descriptions of the given image."'
_UNTRIED = "where the records' picture names begin was not tried: `asvr data check` says whether they are found"


def _mid_data(name: str, folder: str) -> tuple[str, ...]:
    return (
        f'{DOWNLOAD} lmms-lab/LLaVA-OneVision-Mid-Data --include "{folder}/*" --local-dir {name}',
        f"for part in {name}/{folder}/*.tar.gz; do tar xzf $part -C {name}/{folder}; done",
    )


ONEVISION: dict[str, Published] = {
    "recap-558k": Published(
        title="LLaVA-ReCap-558K",
        hub="lmms-lab/LLaVA-ReCap-558K",
        file="records.jsonl",
        images="images",
        num_records=558_128,
        gigabytes=12.6,
        licence="none stated; those of its parts",
        get=(
            f"{DOWNLOAD} lmms-lab/LLaVA-ReCap-558K --local-dir recap-558k/table",
            f"asvr data unpack recap-558k/table recap-558k {_PROMPT}",
        ),
        note=_RECAP,
        source=f"{CARD}lmms-lab/LLaVA-ReCap-558K",
    ),
    "recap-118k": Published(
        title="LLaVA-ReCap-118K",
        hub="lmms-lab/LLaVA-ReCap-118K",
        file="records.jsonl",
        images="images",
        num_records=118_000,
        about=True,
        gigabytes=6.1,
        licence="none stated; those of COCO",
        get=(
            f"{DOWNLOAD} lmms-lab/LLaVA-ReCap-118K --local-dir recap-118k/table",
            f"asvr data unpack recap-118k/table recap-118k {_PROMPT}",
        ),
        note=_RECAP,
        source=f"{CARD}lmms-lab/LLaVA-ReCap-118K/tree/main/data",
    ),
    "recap-cc3m": Published(
        title="LLaVA-ReCap-CC3M",
        hub="lmms-lab/LLaVA-ReCap-CC3M",
        file="records.jsonl",
        images="images",
        num_records=2_857_560,
        gigabytes=138.5,
        licence="none stated; those of CC-3M",
        get=(
            f"{DOWNLOAD} lmms-lab/LLaVA-ReCap-CC3M --local-dir recap-cc3m/table",
            f"asvr data unpack recap-cc3m/table recap-cc3m {_PROMPT}",
        ),
        note=_RECAP,
        source=f"{CARD}lmms-lab/LLaVA-ReCap-CC3M",
    ),
    "ureader-text": Published(
        title="UReader text reading, as OneVision's",
        hub="lmms-lab/LLaVA-OneVision-Mid-Data",
        file="ureader_tr/ureader_tr_processed.json",
        images="ureader_tr",
        num_records=100_000,
        about=True,
        gigabytes=28.4,
        licence="Apache 2.0",
        get=_mid_data("ureader-text", "ureader_tr"),
        note=_UNTRIED,
        source=_ONEVISION,
    ),
    "evol-instruct-143k": Published(
        title="Evol-Instruct GPT-4 Turbo, text alone",
        hub="lmms-lab/LLaVA-OneVision-Mid-Data",
        file="evol_instruct/evol_instruct_processed.json",
        images="",
        num_records=143_000,
        about=True,
        gigabytes=0.4,
        licence="Apache 2.0",
        get=(
            f'{DOWNLOAD} lmms-lab/LLaVA-OneVision-Mid-Data --include "evol_instruct/*" --local-dir evol-instruct-143k',
        ),
        source=_ONEVISION,
    ),
    "synthdog-en": Published(
        title="SynthDoG, English",
        hub="lmms-lab/LLaVA-OneVision-Mid-Data",
        file="synthdog_en/synthdog_en_processed.json",
        images="synthdog_en",
        num_records=100_000,
        about=True,
        gigabytes=7.9,
        licence="Apache 2.0",
        get=_mid_data("synthdog-en", "synthdog_en"),
        note=_UNTRIED,
        source=_ONEVISION,
    ),
    "synthdog-zh": Published(
        title="SynthDoG, Chinese",
        hub="lmms-lab/LLaVA-OneVision-Mid-Data",
        file="synthdog_zh/synthdog_zh_processed.json",
        images="synthdog_zh",
        num_records=100_000,
        about=True,
        gigabytes=8.4,
        licence="Apache 2.0",
        get=_mid_data("synthdog-zh", "synthdog_zh"),
        note=_UNTRIED,
        source=_ONEVISION,
    ),
    "onevision-4m": Published(
        title="LLaVA-OneVision-Data",
        hub="lmms-lab/LLaVA-OneVision-Data",
        file="records.jsonl",
        images="images",
        num_records=3_940_000,
        about=True,
        gigabytes=None,
        licence="Apache 2.0; pictures as their sources",
        get=(
            f"{DOWNLOAD} lmms-lab/LLaVA-OneVision-Data --local-dir onevision-4m/table",
            "asvr data unpack onevision-4m/table onevision-4m",
        ),
        note="OneVision's own stages took 3.2M single-image records and then 1.6M with several pictures and video; two "
        "of their sources were never released (scripts/train/single_image.yaml)",
        source="https://huggingface.co/collections/lmms-lab/llava-onevision; arXiv 2408.03326",
    ),
}
"""Seven sources of the middle stage, and the instructions, by name."""
