"""From a source to a store: plan, load, extract, write; copies and conversions of galleries."""
