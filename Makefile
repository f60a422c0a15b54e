# Both commands make the environment themselves; PYTHON may be any Python from 3.10 on.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

demo: .venv/ready
	$(BIN)/asvr demo

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/codespell asvr tests docs README.md CONTRIBUTING.md CHANGELOG.md

# A machine that has its own torch (a GPU's build) keeps it; any other gets the exact versions that were tested.
.venv/ready: pyproject.toml constraints.txt
	@if $(PYTHON) -c "import torch; assert tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 9)" 2>/dev/null; then \
		$(PYTHON) -m venv --system-site-packages .venv && $(BIN)/python -m pip install -q -e '.[dev]'; \
	else \
		$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@

clean:
	rm -rf .venv runs
