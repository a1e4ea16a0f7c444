# make demo      install, load 240 passages, ask three questions
# make serve     a page that answers questions, at http://127.0.0.1:8000
# make test      ruff, mypy and pytest; what CI runs
# make pictures  draw the pictures of the README and docs/ (needs Chromium)
# All need only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
# Processes for the tests; with a server in QDRANT_URL, 1 keeps their collections apart.
TEST_PROCESSES ?= $(if $(QDRANT_URL),1,3)

.PHONY: demo serve test lint types unit pictures clean

demo: .venv/demo
	$(BIN)/rdr-qdrant demo

serve: .venv/backend
	$(BIN)/rdr-qdrant ingest examples/data/passages.tsv -c rdr-demo --model demo
	-$(BIN)/rdr-qdrant index -c rdr-demo --bm25
	@echo
	@echo "The page: http://127.0.0.1:$${RAG_PORT:-8000}   (Ctrl-C stops it)"
	@$(BIN)/python -m examples.rag_backend

test: lint types unit

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/mypy

unit: .venv/dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadscope

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
