"""structlog, imported without rich.

structlog imports rich where that is installed (Flask-Limiter brings it), to colour tracebacks that we never show: a quarter of a
second more at every start of every process.
"""

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_hidden = "rich" not in _modules
if _hidden:
    _modules["rich"] = None
try:
    import structlog
finally:
    if _hidden:
        del _modules["rich"]

__all__ = ["structlog"]
