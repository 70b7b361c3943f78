"""The process in which a foreign network is tried, within limits.

    python -m lookalike.extractors.trial < question.json

gets a list of a kind, a name and a precision. It loads the extractor of the name, and runs its network on a
picture of noise: as a whole, of which every cut is a part, or cut where the name says if OpenVINO can't run
all of it. Of the kind `decoder` it is the network that draws pictures of vectors. To standard output is
written what went wrong, as kind and message, and whether the whole was run.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.errors import LookalikeError
from lookalike.extractors import files, runtime, trials
from lookalike.extractors.decoder import Decoder
from lookalike.extractors.names import Name
from lookalike.extractors.runtime import NotRun, cut, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lookalike.extractors.network import OpenVinoExtractor
    from lookalike.types import Precision


def main() -> None:
    """Try the network that standard input names."""
    trials.impose()
    kind, name, precision = json.load(sys.stdin)
    work = partial(_drawn, name) if kind == "decoder" else partial(_described, Name.parse(name), precision)
    sys.stdout.write(json.dumps(_outcome(work)))


def _described(name: Name, precision: Precision | None) -> bool:
    """Describe a picture; whether the whole network was run."""
    extractor = files.opened(Path(name.model), name, precision, keep=False)
    width, height = extractor.card.size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    whole = _ran(extractor, noise)
    if not whole:
        extractor.extract([noise])
    return whole


def _drawn(name: str) -> bool:
    decoder = Decoder(name, foreign=False)
    decoder.pixels(np.zeros((1, decoder.dim)))
    return True


def _outcome(work: Callable[[], bool]) -> tuple[str | None, str, bool]:
    try:
        whole = work()
    except NotRun as error:
        return "refusal", f"can't be used ({error})", False
    except LookalikeError as error:
        return type(error).__name__, str(error), False
    except (RuntimeError, MemoryError) as error:
        return "refusal", f"can't be used ({first_line(error) or 'there is no memory for it'})", False
    return None, "", whole


def _ran(extractor: OpenVinoExtractor, noise: NDArray[np.uint8]) -> bool:
    """Run all of a network; whether that could be done."""
    network, card, _ = extractor.uncompiled()
    network = network.clone()
    ends = [result.input(0).get_source_output() for result in network.get_results()]
    try:
        runtime.compile_model(cut(network, ends, card), {})(noise[None])
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    main()
