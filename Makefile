# Two commands matter: `make demo` and `make test`. Each does all of its own set-up in .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo docs test mutate lint format install dev clean lock fuzz soak kills canaries release-check sbom

demo: $(VENV)/.installed
	$(BIN)/bonelift demo --out demo-result
	@echo "Open demo-result/report.html"

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	# One thread for each of the two processes: two of torch's in each would wait for one another.
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/pytest -n 2 --dist loadfile

# Small faults put into the source in memory or in a copy: those of a list, then a sample drawn in each package, for
# MUTATE_MINUTES. Goes on where it was stopped (mutants.csv, mutants-work).
MUTATE_MINUTES ?= 30
mutate: $(VENV)/.installed-dev
	$(BIN)/python scripts/mutate.py
	$(BIN)/python scripts/mutate_drawn.py --minutes $(MUTATE_MINUTES)

# Canaries in every place of clinical files that can hold words; what comes out of the commands is searched for them.
canaries: $(VENV)/.installed-dev
	$(BIN)/python scripts/count_canaries.py --out canary-work

# Damaged files into every reader, for FUZZ_MINUTES; the same command goes on where it ended, finds lie in fuzz-work.
FUZZ_MINUTES ?= 10
fuzz: $(VENV)/.installed-dev
	$(BIN)/python scripts/fuzz_readers.py --minutes $(FUZZ_MINUTES) --out fuzz-work

# Load on the page's server: many requests, slow clients, half uploads; its memory before and after.
soak: $(VENV)/.installed-dev
	$(BIN)/python scripts/soak_server.py

# kill -9 at random moments of seven commands, the same command again, results compared; for KILL_MINUTES, and goes on (kill-work).
KILL_MINUTES ?= 30
kills: $(VENV)/.installed-dev
	$(BIN)/python scripts/kill_commands.py --work kill-work --minutes $(KILL_MINUTES)

# The documentation site, in site/; a warning is an error. To read it: python -m http.server -d site
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

lint: $(VENV)/.installed-dev
	$(BIN)/pre-commit run --all-files
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	$(PIP) install --quiet -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m bonelift.cli.warm_up
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PIP) install --quiet -r requirements-dev.lock
	touch $@

# Writes both locks from what a clean environment resolves today (torch is held where the code was tested).
lock:
	$(BIN)/python scripts/lock_requirements.py

# Builds the wheel, installs it into an empty environment for each of RELEASE_PYTHONS, runs the demo there; then each of
# RELEASE_EXTRAS in an environment of its own. Goes on where it was stopped (release-work).
RELEASE_PYTHONS ?= $(PYTHON)
RELEASE_EXTRAS ?= pdf serve dicom excel jpeg
release-check: $(VENV)/.installed-dev
	$(BIN)/python scripts/release_check.py --work release-work $(RELEASE_PYTHONS:%=--python %) $(RELEASE_EXTRAS:%=--extra %)

# What the locks hold, as CycloneDX, with the licences; checked as far as that goes without a network.
sbom: $(VENV)/.installed-dev
	$(BIN)/python scripts/sbom.py --lock requirements.lock --out dist
	$(BIN)/python scripts/sbom.py --lock requirements-dev.lock --out dist

clean:
	rm -rf $(VENV) mutants-work canary-work kill-work demo-result site build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
