# make demo: see it work.  make serve: a page to ask.  make test: everything that must hold.
# make pictures: those of the README again.
# All need only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo serve test lint types unit pictures clean

demo: .venv/demo
	$(BIN)/rdr-qdrant demo

serve: .venv/backend
	$(BIN)/rdr-qdrant ingest examples/data/passages.tsv -c rdr-demo --model demo
	@echo
	@echo "The page: http://127.0.0.1:$${RAG_PORT:-8000}   (Ctrl-C ends it)"
	@$(BIN)/python -m examples.rag_backend

test: lint types unit

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

unit: .venv/dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

pictures: .venv/dev
	$(BIN)/python docs/pictures/make_all.py

.venv/demo: pyproject.toml constraints.txt
	@echo "Installing into .venv; this takes some minutes the first time."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo]"
	touch $@

.venv/backend: .venv/demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo,backend]"
	touch $@

.venv/dev: .venv/demo
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
