"""For tests, those of plug-ins too: an extractor computed by hand, and checks of the three protocols.

`ToyExtractor` describes a picture by its mean colours, so that every expected number can be worked
out on paper. `check_extractor`, `check_source` and `check_store` raise `AssertionError`, with what was
expected and what was found, where an implementation does not keep what `lookalike.types` promises.
"""

from lookalike.testing.contracts import check_extractor, check_source, check_store
from lookalike.testing.toy import ToyExtractor, load

__all__ = ["ToyExtractor", "check_extractor", "check_source", "check_store", "load"]
