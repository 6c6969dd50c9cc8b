"""Where tools/setup_compat puts the foreign clients."""

from arrowport_testing import SOURCE_DIR

CLIENTS = SOURCE_DIR / ".deps" / "compat"
