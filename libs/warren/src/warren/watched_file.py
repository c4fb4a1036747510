"""WatchedFile: what stands in a file: read at the start, and again whenever the file changes.

One that can't be read or is wrong changes nothing: what was read before it counts on, and each such state of
the file is logged once. No line of the log holds what stands in the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from warren.errors import SettingsError
from warren.logs import event
from warren.supervision import cancel_and_wait, supervised

LOOK_S: Final = 1.0
MAX_FILE_BYTES: Final = 1024 * 1024

T = TypeVar("T", bound=Sized)
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class FileKind(Generic[T]):
    """What such a file holds: ``noun`` ("keys"), how its text is read (raises SettingsError), and how it is
    logged: events of this ``name``, and what it means that nothing was read yet.
    """

    noun: str
    parse: Callable[[str], T]
    name: str
    logger: logging.Logger
    without: str

    def read(self, path: Path) -> T:
        """Read a file. Raises OSError, and SettingsError with every problem."""
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingsError([f"{self.noun}: at most {MAX_FILE_BYTES} bytes"])
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise SettingsError([f"{self.noun}: no text in UTF-8"]) from None
        return self.parse(text)

    def problems(self, path: str, variable: str) -> list[str]:
        """Return what is wrong with the file that a variable names, one line for each problem."""
        try:
            self.read(Path(path))
        except OSError as error:
            return [f"{variable}: {error.strerror or type(error).__name__}"]
        except SettingsError as error:
            return [f"{variable}: {problem}" for problem in error.problems]
        return []


class WatchedFile(Generic[T]):
    """What stands in one file now; ``empty`` where ``path`` is empty, and before it was read."""

    def __init__(self, path: str, kind: FileKind[T], empty: T) -> None:
        """Nothing is read before ``start``."""
        self.content = empty
        self._kind = kind
        self._path = Path(path)
        self._given = bool(path)
        self._stamp: _Stamp | None = None
        self._task: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        """Say whether there is a file at all."""
        return self._given

    async def start(self) -> None:
        """Read the file, and look at it again and again."""
        if not self._given or self._task is not None:
            return
        self.look()
        task = asyncio.get_running_loop().create_task(self._run(), name=self._kind.name.replace("_", "-"))
        self._task = supervised(task)

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        await cancel_and_wait(task)

    def look(self) -> None:
        """Read the file where it is another one than before, or was written to."""
        kind = self._kind
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            content = kind.read(self._path)
        except OSError as error:
            if self._stamp is not None or not self.content:
                self._failed([error.strerror or type(error).__name__])
            self._stamp = None
        except SettingsError as error:
            self._failed(error.problems)
        else:
            self.content = content
            read: dict[str, Any] = {kind.noun: len(content)}
            event(kind.logger, f"{kind.name}_read", **read)

    def _failed(self, problems: list[str]) -> None:
        kind = self._kind
        event(
            kind.logger,
            f"{kind.name}_failed",
            level=logging.ERROR,
            path=str(self._path),
            problems=problems,
            hint=f"the {kind.noun} that were read before count on" if self.content else kind.without,
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()


def _stamp(path: Path) -> _Stamp:
    """Return what tells one state of a file from another; a mounted secret is a link that moves."""
    found = os.stat(path)  # noqa: PTH116 - that of what the link leads to, as Path's is
    return found.st_ino, found.st_mtime_ns, found.st_size
