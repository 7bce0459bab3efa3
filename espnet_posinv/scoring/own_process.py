"""Calls of functions that may crash their process or write outside their memory."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

Result = TypeVar("Result")


class Died(Exception):
    """The call's process was killed, by the named signal."""


def in_own_process(function: Callable[..., Result], *args) -> Result:
    """``function(*args)`` in a separate process, forked for this call.

    Raises:
        Died: the process was killed.
        Exception: what the function raises.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, function, args))
    process.start()
    sender.close()
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        code = process.exitcode
        raise Died(signal.Signals(-code).name if code < 0 else f"exit status {code}") from None
    process.join()
    if error is not None:
        raise error
    return result


def _run(sender: Connection, function: Callable, args: tuple) -> None:
    try:
        message = function(*args), None
    except Exception as error:  # raised again in the caller
        message = None, error
    sender.send(message)
