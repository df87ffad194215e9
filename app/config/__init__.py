"""Settings: read from the environment (prefix VERBATIM_) and a TOML file, checked, and frozen.

sources.py   which names there are, where their text comes from, what a wrong one is told
values.py    one text to one value: durations, sizes, URLs, names
settings.py  the values, as the rest of the product sees them
"""

from app.config.settings import Settings, UpstreamAddress
from app.config.sources import SETTINGS, forget_secrets, load_settings

__all__ = ["SETTINGS", "Settings", "UpstreamAddress", "forget_secrets", "load_settings"]
