"""The examples run as they stand, and the README's Python does too."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_quickstart(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "3 passages loaded"
    assert second.endswith("  Faust")


def test_the_readmes_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(code.replace("RDREmbeddings()", 'RDREmbeddings(model="demo")'), {})
    assert "Faust A play in two parts by Goethe." in capsys.readouterr().out
