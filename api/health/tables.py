"""Which tables this version can work on: its own, and those of later versions that have only been added to.

A migration's name says it: `0007_from_0005` are the tables of step 7, on which the code of step 5 and later runs. So a running
process can judge tables that were made after it. docs/decisions/0021 says why.
"""

from ..migrations import NAME


def usable(applied: str, own: str) -> bool:
    """Say whether code whose newest migration is `own` can work on tables whose newest migration is `applied`."""
    if applied == own:
        return True
    there, here = NAME.fullmatch(applied), NAME.fullmatch(own)
    if not there or not here or not there["oldest"]:
        return False
    return int(there["oldest"]) <= int(here["step"]) < int(there["step"])
