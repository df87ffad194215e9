"""Sums by groups: which are kept, and how they are asked."""
