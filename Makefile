# make run    the main job: set up, import, learn, answer, serve (ONCE=1: answer over HTTP and exit)
# make test   set up and run every test that CI runs
# make check  format, lint, types, import rules and the fast tests
# make bench  measurements, JSON in benchmarks/results/
# make serve  serve the store that is already there
# make lock   refresh requirements.lock from pyproject.toml
.PHONY: run test test-slow check bench serve lock setup wheel clean

VENV := .venv/bin
export PYTHONDONTWRITEBYTECODE ?=

setup:
	@sh tools/bootstrap.sh

run: setup
	@$(VENV)/worlds run $(if $(DATA),--data "$(DATA)") $(if $(ONCE),--once)

serve: setup
	@$(VENV)/worlds serve

test: setup
	@$(VENV)/python -m pytest -q

test-slow: setup
	@$(VENV)/python -m pytest -q --slow

check: setup
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports
	@$(VENV)/python -m pytest -q -m "not slowish"

bench: setup
	@$(VENV)/python -m benchmarks

wheel: setup
	@$(VENV)/python -m build --no-isolation

lock:
	@sh tools/lock.sh

clean:
	rm -rf .venv .bootstrap build dist
