"""What Ctrl-C does while a command loads, and while it works."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Nothing is begun yet: Ctrl-C ends the process at once. Raised in the middle of an import or of a constructor, it
    is taken for an error of the library's own, or aborts the process."""
    with _handled({signal.SIGINT: signal.default_int_handler}, lambda *_: os._exit(130)):
        yield


@contextmanager
def interrupts() -> Iterator[Callable[[], None]]:
    """A function that ends the run if Ctrl-C was pressed: MediaPipe takes one that meets its constructors for an error
    of its own, which would be the photograph's. SIGTERM and the end of the terminal count as one, so that no temporary
    file is left."""
    came = []

    def notice(*_):
        came.append(True)
        raise KeyboardInterrupt

    def stop():
        if came:
            raise KeyboardInterrupt

    ends = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    with _handled(ends, notice):
        yield stop


@contextmanager
def _handled(usual: dict[signal.Signals, object], handler: Callable) -> Iterator[None]:
    """Handle those signals that are handled as usual; other threads than the main one handle none."""
    main = threading.current_thread() is threading.main_thread()
    changed = [number for number, before in usual.items() if main and signal.getsignal(number) is before]
    before = {number: signal.signal(number, handler) for number in changed}
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])
