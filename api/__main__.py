"""`keycard`, which is also `python -m api`."""

import gc
import os
import sys

# Huge pages take a third off a hash; few arenas keep the memory of the threads together. glibc reads it as a process begins.
GLIBC_TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=2"


def main() -> None:
    """Run the command line; `serve` without what the other commands need, for its processes are copies of this one."""
    if sys.argv[1:2] == ["serve"]:
        if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
            os.environ["GLIBC_TUNABLES"] = GLIBC_TUNABLES
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves, before anything is loaded
        _serve()
    else:
        from .cli import main as command_line

        command_line()


def _serve() -> None:
    gc.disable()  # nothing that is being imported is garbage, and to look for some takes a fifth of the time
    from .serving import serve

    gc.freeze()  # nor will it ever be: it is not looked at again, and so stays shared with the processes that are forked
    gc.enable()
    serve(sys.argv[2:], prog_name="keycard serve")


if __name__ == "__main__":
    main()
