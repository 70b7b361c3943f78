"""Which method finds the better pictures, and what does it cost?

>>> from lookalike.evaluation import compare, evaluate
>>> with Gallery.open("products") as gallery:  # doctest: +SKIP
...     print(evaluate(gallery, "folder")["mAP@100"])
>>> compare("products", ["efficientnet-lite0", "keras:VGG16@fc1"], labels="folder")  # doctest: +SKIP
"""

from lookalike.evaluation.comparing import compare
from lookalike.evaluation.comparison import Comparison, MethodResult
from lookalike.evaluation.methods import Method
from lookalike.evaluation.quality import Evaluation, LabelQuality, evaluate

__all__ = ["Comparison", "Evaluation", "LabelQuality", "Method", "MethodResult", "compare", "evaluate"]
