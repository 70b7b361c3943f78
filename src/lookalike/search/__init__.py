"""From a query to hits: candidates, stages, records."""
