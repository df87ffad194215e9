"""What the wire promises: the shapes of answers.

Answers are made by wire.py without these classes, which are the description in /openapi.json; a test compares the two.
"""
