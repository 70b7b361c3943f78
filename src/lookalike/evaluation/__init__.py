"""Which method finds the better pictures, and what does it cost?

>>> from lookalike.evaluation import compare, evaluate
>>> with Gallery.open("products") as gallery:  # doctest: +SKIP
...     print(evaluate(gallery, "folder")["mAP@100"])
>>> compare("products", ["efficientnet-lite0", "keras:VGG16@fc1"], labels="folder")  # doctest: +SKIP
"""

from lookalike.evaluation.comparison import compare
from lookalike.evaluation.folder import Method
from lookalike.evaluation.quality import evaluate
from lookalike.evaluation.results import Comparison, Evaluation, LabelQuality, MethodResult

__all__ = ["Comparison", "Evaluation", "LabelQuality", "Method", "MethodResult", "compare", "evaluate"]
