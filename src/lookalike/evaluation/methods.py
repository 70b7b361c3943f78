"""A method of finding alike pictures, as it is typed: a model, and how its vectors are compared."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lookalike.errors import UsageError

if TYPE_CHECKING:
    from lookalike.types import Extractor

# A path may hold a # of its own, so only what looks like words behind the last one is taken.
_METHOD = re.compile(r"(?P<model>.+)#(?P<words>[a-z][a-z0-9,_-]*)", re.DOTALL)
_NORMALIZE = {"normalize": True, "no-normalize": False}


@dataclass(frozen=True, slots=True)
class Method:
    """What is compared with others: a model with its metric, or a gallery that exists already.

    model: an extractor or its name; "" for a gallery.
    metric: how its vectors are compared; None as the model recommends.
    normalize: whether they have unit length; None as the model and the metric suggest.
    gallery: the name of one of the folder's galleries, which is taken as it is.
    """

    model: str | Extractor = ""
    metric: str | None = None
    normalize: bool | None = None
    gallery: str | None = None

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read `MODEL[#METRIC][,normalize|,no-normalize]`.

        Raises:
            UsageError: what is behind the # can't be meant.

        >>> Method.parse("keras:VGG16@fc1#euclidean,no-normalize").metric
        'euclidean'
        """
        found = _METHOD.fullmatch(text)
        if found is None:
            return cls(text)
        words = found["words"].split(",")
        normalize = [_NORMALIZE[word] for word in words if word in _NORMALIZE]
        metrics = [word for word in words if word not in _NORMALIZE]
        if len(normalize) > 1 or len(metrics) > 1 or "" in words:
            raise UsageError(
                f"{text!r} can't be meant; expected MODEL#METRIC, MODEL#normalize, MODEL#no-normalize, or a "
                "metric and one of these with a comma between them"
            )
        return cls(found["model"], next(iter(metrics), None), next(iter(normalize), None))

    def __str__(self) -> str:
        if self.gallery is not None:
            return self.gallery
        words = [self.metric] if self.metric else []
        if self.normalize is not None:
            words.append("normalize" if self.normalize else "no-normalize")
        name = self.model if isinstance(self.model, str) else self.model.name
        return f"{name}#{','.join(words)}" if words else name
