"""From a table of addresses to a folder of pictures with their metadata.

>>> from lookalike.sources.fetch import fetch                                    # doctest: +SKIP
>>> report = fetch("flipkart.csv", "products", image="image", id="uniq_id")    # doctest: +SKIP
>>> print(report)                                                        # doctest: +SKIP
1,974 fetched, 26 failed; 1,974 pictures in 61.0 s
"""

from lookalike.sources.fetch.report import Failure, Report
from lookalike.sources.fetch.run import fetch

__all__ = ["Failure", "Report", "fetch"]
