"""Rows of the fourteen benchmarks in their schemas on the hub; every one is invented."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

Row = dict[str, Any]
"""By the hub's column names; a picture is a file name and the file's bytes, as `draw` gives them."""

COLOURS = ("red", "green", "blue", "yellow", "black", "white", "purple", "orange")
LETTERS = "ABCD"
MME_CATEGORIES = "existence count position color posters celebrity scene landmark artwork OCR commonsense_reasoning"
MME_CATEGORIES += " numerical_calculation text_translation code_reasoning"
OCR_TYPES = ("Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition")
OCR_TYPES += ("Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition")
OCR_TYPES += ("Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction")
OCR_TYPES += ("Handwritten Mathematical Expression Recognition",)


def draw(number: int) -> tuple[str, bytes]:
    """Gives a picture's file name and bytes: a coloured box of its own place and size, as PNG or as JPEG."""
    picture = Image.new("RGB", (28 + number % 7, 24 + number % 5), "lightgrey")
    corner = (2 + number % 9, 3 + number // 9 % 9)
    ImageDraw.Draw(picture).rectangle((*corner, corner[0] + 10, corner[1] + 8), fill=COLOURS[number % len(COLOURS)])
    file = BytesIO()
    name, form = (f"{number}.jpg", "JPEG") if number % 3 == 0 else (f"{number}.png", "PNG")
    picture.save(file, form)
    return name, file.getvalue()


def draw_jpeg(number: int) -> tuple[str, bytes]:
    """Gives the same picture as JPEG, whatever its number."""
    file = BytesIO()
    Image.open(BytesIO(draw(number)[1])).save(file, "JPEG")
    return f"{number}.jpg", file.getvalue()


def textvqa() -> Iterable[Row]:
    for number, colour in enumerate(COLOURS):
        answers = [colour] * (3 + number % 7) + [f"the {colour} one"] * (7 - number % 7)
        yield {
            "image_id": f"{number // 2:016x}",
            "question_id": 34602 + number,
            "question": f"what colour is box {number}?",
            "question_tokens": ["what", "colour", "is", "box", str(number)],
            "image": draw(number // 2),
            **{"image_width": 28, "image_height": 24},
            **{"flickr_original_url": "https://example.org/o.jpg", "flickr_300k_url": "https://example.org/s.jpg"},
            "answers": answers,
            "image_classes": ["Box", "Sign"],
            "set_name": "val",
            "ocr_tokens": [] if number == 3 else ["BOX", str(number), "Zürich"],
        }


def docvqa() -> Iterable[Row]:
    for number in range(8):
        yield {
            "questionId": str(49153 + number),
            "question": f"What is the date on letter {number}?",
            "question_types": ["handwritten", "form"],
            "image": draw(number // 2),
            "docId": 14465 + number // 2,
            **{"ucsf_document_id": "pybv0228", "ucsf_document_page_no": str(80 + number)},
            "answers": [f"1/{number}/93", f"January {number}"],
            "data_split": "val",
        }


def ocrbench() -> Iterable[Row]:
    for number, kind in enumerate(OCR_TYPES):
        is_math = kind == OCR_TYPES[-1]
        yield {
            "dataset": "HME100k" if is_math else "IIIT5K",
            "question": "what is written in the image?",
            "question_type": kind,
            "answer": ["x ^ { 2 } + 1"] if is_math else [f"WORD{number}", f"Word {number}"],
            "image": draw(number),
        }


def chartqa() -> Iterable[Row]:
    for number, answer in enumerate(["7", "45%", "0", "Yes", "[57, 43]", "3.5", "Germany", "2018"]):
        kind = "human_test" if number < 4 else "augmented_test"
        yield {"type": kind, "question": f"What is bar {number}?", "answer": answer, "image": draw(number // 2)}


def mmbench() -> Iterable[Row]:
    """Four base questions with 4, 3, 2 and 4 options; each is asked in all rotations of them."""
    for base, num_options in enumerate((4, 3, 2, 4)):
        options = list(COLOURS[base : base + num_options])
        for turn in range(num_options):
            turned = [*options[turn:], *options[:turn], *["nan"] * (4 - num_options)]
            yield {
                "index": base + turn * 1_000_000,
                "question": f"Which colour is box {base}?",
                "hint": "nan" if base % 2 else "Look at the box.",
                **dict(zip(LETTERS, turned, strict=True)),
                "answer": LETTERS[turned.index(options[0])],
                "category": ("attribute_recognition", "object_localization")[base % 2],
                "image": draw(base),
                "source": "reference",
                "l2-category": ("finegrained_perception (instance-level)", "coarse_perception")[base % 2],
                "comment": "nan",
                "split": "dev",
            }


def mme() -> Iterable[Row]:
    for number, category in enumerate(MME_CATEGORIES.split()):
        for answer in ("Yes", "No"):
            yield {
                "question_id": f"{category}/{number:04}.png",
                "image": draw(number),
                "question": f"Is box {number} {COLOURS[number % 8] if answer == 'Yes' else 'pink'}? "
                "Please answer yes or no.",
                "answer": answer,
                "category": category,
            }


def seed_image() -> Iterable[Row]:
    """Nine questions about a picture, one of each type, and three about videos, whose rows hold several frames."""
    for kind in range(1, 13):
        is_video = kind > 9
        yield {
            "answer": LETTERS[kind % 4],
            **{f"choice_{letter.lower()}": COLOURS[place + kind % 4] for place, letter in enumerate(LETTERS)},
            **{"data_id": f"{1454426 + kind}_2591111986", "data_type": "video" if is_video else "image"},
            "question": f"Which colour is box {kind}?",
            "question_id": str(101669 + kind),
            "question_type_id": kind,
            "image": [draw(kind), draw(kind + 1)] if is_video else [draw(kind)],
            "segment": ["0.0", "2.5"] if is_video else None,
        }


def gqa() -> Iterable[Row]:
    for number in range(8):
        yield {
            "id": f"2013{number:05}",
            "imageId": f"n{number // 2}",
            "question": f"Is box {number} to the left of the table?",
            "answer": ("yes", "no", "table", "t-shirt")[number % 4],
            "fullAnswer": "It is.",
            "isBalanced": True,
            "groups": {"global": None, "local": f"13-box_{number}"},
            **{"entailed": "", "equivalent": f"['2013{number:05}']"},
            "types": {"structural": "verify", "semantic": "rel", "detailed": "relVerify"},
            "annotations": {"answer": [], "question": [{"objectId": "0", "value": "box"}], "fullAnswer": []},
            "semantic": [{"operation": "select", "argument": "box (0)", "dependencies": []}],
            "semanticStr": "select: box (0)",
        }


def gqa_pictures() -> Iterable[Row]:
    return ({"id": f"n{number}", "image": draw(number)} for number in range(5))


def mmmu() -> Iterable[Row]:
    options = {4: ("$6", "$7", "it's", "n/a"), 2: ("<image 1>", "<image 2>"), 9: tuple("123456789")}
    for number in range(10):
        given = () if number % 5 == 4 else tuple(options.values())[number % 3]
        yield {
            "id": f"validation_{('Accounting', 'Biology')[number // 5]}_{number % 5 + 1}",
            "question": f"<image 1> How much is box {number}?",
            "options": str(list(given)),
            "explanation": "",
            **{f"image_{place}": draw(number + place) if place <= 1 + number % 2 else None for place in range(1, 8)},
            "img_type": "['Tables']",
            "answer": ("B" if given else ("4.5", "['24/7', '3.429']")[number // 5]),
            "question_type": "multiple-choice" if given else "open",
            **{"topic_difficulty": "Medium", "subfield": "Managerial Accounting"},
        }


def ai2d() -> Iterable[Row]:
    for number in range(8):
        options = list(COLOURS[number % 4 : number % 4 + 4])
        yield {
            "question": f"Which colour does label {number} show?",
            "options": options,
            "answer": str(number % 4),
            "image": draw(number // 2),
        }


def realworldqa() -> Iterable[Row]:
    choose = "Please answer directly with only the letter of the correct option and nothing else."
    for number in range(8):
        is_open = number % 3 == 2
        ask = "Please answer directly with a single word or number." if is_open else f"\n\nA. Yes\nB. No\n\n{choose}"
        yield {
            "image": draw(number),
            "image_path": f"{number}.webp",
            "question": f"{'How many cars are' if is_open else 'Is a car'} left of box {number}? {ask}",
            "answer": str(number) if is_open else LETTERS[number % 2],
        }


def mmvp() -> Iterable[Row]:
    for index in range(1, 9):
        yield {
            "Index": index,
            "Question": f"Is box {(index + 1) // 2} open or closed?",
            "Options": "(a) Open (b) Closed",
            "Correct Answer": ("(b)", "(a)")[index % 2],
        }


def hallusionbench() -> Iterable[Row]:
    """Two sets with two figures of two questions each, one of a single figure, and two rows without a picture."""
    places = [("VD", "illusion", "1", figure, question) for figure in (0, 1) for question in (0, 1)]
    places += [
        ("VS", "chart", "2" if figure == 2 else "1", figure, question) for figure in (1, 2) for question in (0, 1)
    ]
    places += [("VS", "map", "1", 1, 0), ("VS", "map", "1", 1, 1)]
    places += [("VS", "chart", "0", 0, question) for question in (0, 1)]
    for category, subcategory, visual_input, figure, question in places:
        answer = str((figure + question) % 2)
        yield {
            "category": category,
            "subcategory": subcategory,
            "visual_input": visual_input,
            "set_id": "0",
            "figure_id": str(figure),
            "sample_note": "box",
            "question_id": str(question),
            "question": f"Is line {question} longer?",
            "gt_answer_details": "It is." if answer == "1" else "It is not.",
            "gt_answer": answer,
            "filename": None if visual_input == "0" else f"./hallusion_bench/{category}/{subcategory}/0_{figure}.png",
            "image": None if visual_input == "0" else draw(figure + 10 * len(subcategory)),
        }


def pope() -> Iterable[Row]:
    for category in ("adversarial", "popular", "random"):
        for number in range(4):
            yield {
                "id": str(number),
                "question_id": str(number + 1),
                "question": f"Is there a {('box', 'cat')[number % 2]} in the image?",
                "answer": ("yes", "no")[number % 2],
                "image_source": f"COCO_val2014_{number // 2:012}",
                "image": draw(number // 2),
                "category": category,
            }
