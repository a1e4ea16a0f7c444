"""The process that converts documents, run as a module with `python -m`.

A line of JSON in (`path follow suffix`), a line out (`digest title pages paged`, or `error`). It
has a bounded amount of memory, and opens no connection, starts no program and writes no file,
whatever a document makes its converter do.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from rdr_qdrant.readers.documents.document import DocumentError
from rdr_qdrant.readers.documents.formats import KINDS
from rdr_qdrant.readers.documents.opening import digest_of, open_document

MAX_MEMORY_BYTES = 2 * 2**30
"""Address space; what needs more is set aside."""
FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork")
"""Audit events (PEP 578), by their beginnings, that nothing here may cause."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a converter prints is no answer
    logging.disable()
    warnings.simplefilter("ignore")
    _limit_resources()
    _refuse_entities()
    sys.addaudithook(_refuse)
    for line in sys.stdin:
        json.dump(answer(json.loads(line)), answers)
        answers.write("\n")
        answers.flush()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What became of a document; whatever its converter raises is the reason in words."""
    try:
        with open_document(Path(request["path"]), follow=request["follow"]) as stream:
            digest = digest_of(stream)
            document = KINDS[request["suffix"]].read(stream)
    except DocumentError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": f"needs more than {MAX_MEMORY_BYTES:,} bytes of memory"}
    except RecursionError:
        return {"error": "nested too deep"}
    except Exception as error:  # converters raise what they like at a broken file
        said = " ".join(str(error).split())[:200]
        return {"error": f"cannot be converted: {type(error).__name__}: {said}"}
    return {
        "digest": digest,
        "title": document.title,
        "pages": list(document.pages),
        "paged": document.paged,
    }


def _limit_resources() -> None:
    with suppress(ImportError, OSError, ValueError):  # not every system has these limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _refuse_entities() -> None:
    """XML that defines entities is refused by every parser of the standard library."""
    with suppress(ImportError):  # then there is no reader of XML either
        import defusedxml

        defusedxml.defuse_stdlib()


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING
    if writes or event.startswith(FORBIDDEN):
        raise PermissionError(f"{event} is refused while documents are converted")


if __name__ == "__main__":
    main()
