"""Pictures of results, drawn by matplotlib from plain data: hits, comparisons, histories.

Nothing here touches pyplot or any other state of the process, so drawing works in threads, without
a screen, and beside the user's own plots.
"""

from __future__ import annotations

from lookalike.views.plots.charts import Point, bars, history, quality_and_cost
from lookalike.views.plots.hits import Row, Tile, grid
from lookalike.views.plots.sheets import Plot, check_file, save

__all__ = [
    "Plot",
    "Point",
    "Row",
    "Tile",
    "bars",
    "check_file",
    "grid",
    "history",
    "quality_and_cost",
    "save",
]
