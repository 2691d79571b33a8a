"""Try one prompt before hours are spent on it.

in       a prompt and its class word; the model and the sampling of params.yaml, section `generate`
out      DIR/image.png, DIR/attribution.npy (float32 (n, H, W): the raw OVAM map of each token of the attribution text),
         DIR/overlay.png (the class word's map over the image); the tokens on stdout
command  python -m stages.generate preview --prompt "a tram in the rain" --word tram --seed 3 --out DIR
cost     one image: two seconds with the miniature on one CPU core
expect   the class word's map is bright on the object and dark elsewhere
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.generate.check import check_method
from stages.generate.params import Generate, Params
from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.prompts.prompt import Prompt, cut
from stages.parts.sections import read
from stages.parts.store.pictures import npy_bytes, png_bytes
from stages.parts.store.places import check_place
from stages.parts.store.streams import sample_stream

if TYPE_CHECKING:
    from stages.generate.sampler import Picture


OVAM = {"attribution": "ovam", "self_attention": None}  # what the preview records, whatever the line does


def main(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(argv)
    out = Path(arguments.out)
    check_place(out)
    settings = read(Params).generate.model_copy(update=OVAM)
    prompt = _prompt(arguments.prompt, arguments.word, arguments.attribution)
    folder = checkpoint.find(settings.model, settings.revision)
    checkpoint.check(folder)
    if checkpoint.kind(folder) == checkpoint.JOINT:
        raise GraftError(f"params.yaml: generate.model {folder} has no UNet; the preview records OVAM, which needs one")
    check_method(settings, folder)
    tokens, maps, picture = _draw(folder, settings, prompt, arguments.seed)

    out.mkdir(parents=True, exist_ok=True)
    (out / "image.png").write_bytes(png_bytes(picture.image))
    (out / "attribution.npy").write_bytes(npy_bytes(maps))
    (out / "overlay.png").write_bytes(png_bytes(overlay(picture.image, picture.attribution)))
    for number, token in enumerate(tokens):
        print(f"{number:3d}  {token}{'  <- class word' if number in picture.word else ''}")
    print(f"{out}: image.png, attribution.npy {maps.shape}, overlay.png; rejected: {picture.rejected or 'no'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stages.generate preview",
        description="Draw one image of a prompt, with the attention maps of its attribution text, by the model and "
        "sampling of params.yaml. Writes image.png, attribution.npy (one raw map per token) and overlay.png.",
    )
    parser.add_argument("--prompt", required=True, help="what the model is asked to draw")
    parser.add_argument("--word", required=True, help="the class word")
    parser.add_argument("--attribution", default="a photo of a {word}", help="text with {word} (default: %(default)r)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to write to")
    return parser


def _prompt(text: str, word: str, attribution: str) -> Prompt:
    if not word.strip():
        raise GraftError("--word is empty; give the word whose map is wanted")
    if attribution.count("{word}") != 1:
        raise GraftError(f"--attribution must hold {{word}} once (it is {attribution!r})")
    start = attribution.index("{word}")
    asked = re.search(rf"\b{re.escape(word)}\b", text)
    subject = asked.span() if asked else (0, len(text))
    return Prompt(text, attribution.replace("{word}", word), (start, start + len(word)), subject)


def _draw(
    folder: Path, settings: Generate, prompt: Prompt, seed: int
) -> tuple[list[str], NDArray[np.float32], Picture]:
    """The tokens of the attribution text, their maps (n, H, W) at image size, and the picture."""
    from stages.generate import sampler
    from stages.parts.prompts.prompt import word_tokens
    from stages.parts.recording.ovam import Attribution, word_maps
    from stages.parts.recording.recorder import listening
    from stages.parts.recording.unet import cross_attention, embed, latent_size

    pipe: Any = sampler.load(folder, settings.dtype)
    if lost := cut(pipe.tokenizer, prompt.prompt):
        print(f"the prompt is longer than the model reads; it loses {lost!r}")
    words = word_tokens(pipe.tokenizer, prompt)
    embedding, mask = embed(pipe, [prompt.attribution_text])
    size = latent_size(pipe, settings.height, settings.width)
    attribution = Attribution(mask, size, settings.branch)
    with listening(attribution.taps(cross_attention(pipe.unet), embedding)):
        image = sampler.images(pipe, [prompt.prompt], [sample_stream("preview", seed, "noise")], "", settings)[0]
    maps = attribution.maps()
    heat = sampler.resized(word_maps(maps, [words]), settings.height, settings.width)[0]
    large = sampler.resized(maps[0], settings.height, settings.width)
    ids = pipe.tokenizer(prompt.attribution_text, truncation=True)["input_ids"]
    return pipe.tokenizer.convert_ids_to_tokens(ids), large, sampler.picture(image, heat, words)


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image in grey where the (H, W) map is low, towards red where it is high: (H, W, 3) uint8."""
    share = (heat - heat.min()) / max(float(np.ptp(heat)), np.finfo(np.float32).tiny)
    grey = image.mean(2, keepdims=True)
    red = np.array([255.0, 48.0, 0.0])
    return np.rint(grey + (red - grey) * 0.75 * share[..., None]).astype(np.uint8)
