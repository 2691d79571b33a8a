"""The table of pictures to draw: a caption each, the classes in it, and where their words stand in the class prompt.

in       `dataset_diffusion.captions.source`: photos with captions (of their labels nothing is read), a text file, CSV
         or JSON Lines with classes, or a published prompt file; the tokenizer of `dataset_diffusion.model`
out      data/dataset_diffusion/captions.jsonl: uid, space, caption, classes, class_prompt, spans (token indices) a line
command  python -m stages.dataset_diffusion.captions
         python -m stages.dataset_diffusion.captions --from FILE --space voc [--out TABLE]     any file, any label space
cost     a second
expect   it prints how often each class occurs, and which captions name none; these are left out
source   Nguyen et al., Dataset Diffusion (NeurIPS 2023), section 3.2; the script that made its prompts is unpublished
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from stages.dataset_diffusion.params import Params
from stages.parts.command import command
from stages.parts.datasets.label_spaces import label_space
from stages.parts.errors import GraftError
from stages.parts.prompts.aliases import aliases_of, foreground
from stages.parts.prompts.caption_files import Caption, read_captions
from stages.parts.prompts.caption_table import Entry, table_text
from stages.parts.prompts.class_words import class_prompt, mentioned, token_spans
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed

TABLE = Path("data/dataset_diffusion/captions.jsonl")
SHOWN = 5  # captions without a class that are printed


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    line = read(Params).dataset_diffusion
    from stages.parts.pretrained import diffusion as checkpoint  # here, for transformers takes seconds to load

    space, source = args.space or line.space, Path(args.source or line.captions.source)
    if args.space is not None and args.source is None:
        raise GraftError("--space says of which classes the captions of --from FILE are; give both, or neither")
    tokenizer = checkpoint.tokenizer(checkpoint.find(line.model, line.revision))

    # Which classes each caption is about.
    captions = read_captions(source, foreground(label_space(space)))
    found = named(captions, space)
    _report(captions, found, space)
    if not any(found):
        raise GraftError(
            f"{source}: no caption names a class of {space} ({', '.join(foreground(label_space(space)))}); "
            f"name another file, give it a column classes, or add the words to stages/parts/prompts/aliases.py"
        )

    # As many pictures as are asked for, the captions in turn.
    kept = [(caption.text, classes) for caption, classes in zip(captions, found, strict=True) if classes]
    count = line.captions.count if args.source is None else len(kept)
    entries = table(kept, count, space, tokenizer)
    write_changed(args.out, table_text(entries))
    print(f"{args.out}: {len(entries)} pictures to draw")


def named(captions: Sequence[Caption], space: str) -> list[list[str]]:
    """The classes of each caption, in the order of mention with repeats: those given, else those mined; [] for none."""
    aliases = aliases_of(space)
    return [mentioned(one.text, aliases) if one.classes is None else list(one.classes) for one in captions]


def table(captions: Sequence[tuple[str, list[str]]], count: int, space: str, tokenizer: Any) -> list[Entry]:
    """`count` entries: the captions in turn, and from the start again when there are fewer."""
    chosen = islice(cycle(captions), count)
    return [
        Entry(f"{k:06d}", space, text, tuple(classes), class_prompt(classes), tuple(token_spans(tokenizer, classes)))
        for k, (text, classes) in enumerate(chosen)
    ]


def _report(captions: Sequence[Caption], found: Sequence[Sequence[str]], space: str) -> None:
    """How often each class occurs, in captions and altogether, and the captions that name none."""
    pictures, words = Counter[str](), Counter[str]()
    for classes in found:
        pictures.update(set(classes))
        words.update(classes)
    names = foreground(label_space(space))
    width = max(map(len, names))
    print(f"{'class':{width}}  captions  words")
    for name in names:
        print(f"{name:{width}}  {pictures[name]:8d}  {words[name]:5d}")
    lacking = [one.text for one, classes in zip(captions, found, strict=True) if not classes]
    print(f"{len(lacking)} of {len(captions)} captions name no class of {space}")
    for text in lacking[:SHOWN]:
        print(f"  {text}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.captions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--from", dest="source", metavar="FILE", help="default: dataset_diffusion.captions.source")
    parser.add_argument("--space", help="a label space, such as voc or coco; default: dataset_diffusion.space")
    parser.add_argument("--out", type=Path, metavar="TABLE", help="default: FILE.table.jsonl beside FILE")
    args = parser.parse_args(argv)
    if args.out is None:
        args.out = TABLE if args.source is None else Path(args.source).with_suffix(".table.jsonl")
    return args


if __name__ == "__main__":
    main()
