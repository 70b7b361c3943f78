"""Answers to look at: pages and plots, made of plain data."""
