# Set up, demonstrate, test, lint, measure and package fastmlp; `make help` lists the targets.
PYTHON ?= python3
VENV   ?= .venv
# Given to pip; `make test PIPFLAGS=-v` shows the compiler at work.
PIPFLAGS ?= --quiet
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip $(PIPFLAGS)
# Where the rule of $(VENV)/made puts the headers of a Python that came without them.
HEADERS := $(abspath $(VENV))/headers
export CPATH := $(HEADERS)/python:$(HEADERS)/usr/include$(if $(CPATH),:$(CPATH))
SOURCES := $(wildcard csrc/*.[ch] csrc/*/*.[ch] csrc/*/*/*.[ch] src/fastmlp/*.pyx src/fastmlp/*.pxd \
    src/fastmlp/*/*.pxi)

.PHONY: help demo test stress lint format bench versus sanitize cross dist clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' Makefile

demo: $(VENV)/built  ## train a network on the bundled handwritten digits
	$(BIN)/python examples/digits.py

test: $(VENV)/built $(VENV)/test  ## run the tests; ARGS='-k name' goes to pytest
	$(BIN)/python -m pytest -m 'not stress' $(ARGS)

stress: $(VENV)/built $(VENV)/test  ## run the long random tests
	$(BIN)/python -m pytest -m stress $(ARGS)

lint: $(VENV)/built $(VENV)/dev  ## check style and types of Python, C and Cython
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(filter %.c %.h,$(SOURCES))
	PATH=$(abspath $(BIN)):$$PATH cython-lint $(filter %.pyx %.pxd %.pxi,$(SOURCES))

format: $(VENV)/dev  ## rewrite Python and C in the style that lint asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(filter %.c %.h,$(SOURCES))

bench: $(VENV)/built  ## measure against the rivals, in an environment of their own
	$(BIN)/python bench/run.py --install

versus: $(VENV)/built  ## time this build against another: OTHER=/its/.venv/bin/python
	$(BIN)/python bench/versus.py \
	    $(or $(OTHER),$(error say OTHER=PYTHON, which has the other build)) $(ARGS)

# The extension with the address and undefined-behaviour sanitizers, apart from the one in use.
# Python frees little at exit, so leaks are not looked for. Without libstdc++ the sanitizers would
# not know the C++ exceptions of other libraries. The test of memory would measure the sanitizers'.
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANITIZER = $(foreach name,libasan.so libstdc++.so.6,$(shell $(CC) -print-file-name=$(name)))
sanitize: $(VENV)/built $(VENV)/test  ## run the tests with the sanitizers of C
	CFLAGS='$(SANITIZE) -O1 -g -fno-omit-frame-pointer' LDFLAGS='$(SANITIZE)' \
	    $(BIN)/python setup.py --quiet build \
	    --build-base build/sanitize --build-lib build/sanitize/lib
	LD_PRELOAD="$(SANITIZER)" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	    PYTHONPATH=build/sanitize/lib $(BIN)/python -m pytest -p no:cacheprovider \
	    -m 'not stress and not slow' \
	    --deselect tests/engine/test_layouts.py::test_x_is_not_copied $(ARGS)

# The engine for arm64, made by a cross compiler and run in emulation.
# Debian's packages for it are gcc-aarch64-linux-gnu and qemu-user.
CROSS ?= aarch64-linux-gnu
CROSS_FLAGS := -std=gnu11 -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math \
    -Wall -Wextra -Werror -fopenmp
CROSS_SOURCES := tests/engine/c/check_kernels.c $(wildcard csrc/[!k]*/*.c) \
    $(wildcard csrc/kernels/isa/scalar_*.c csrc/kernels/isa/neon_*.c)
cross:  ## compile the NEON kernels and check them against the scalar ones
	mkdir -p build/cross
	$(CROSS)-gcc $(CROSS_FLAGS) -DFM_HAVE_NEON=1 -Icsrc -o build/cross/check_kernels \
	    $(CROSS_SOURCES) -lm
	qemu-aarch64 -L /usr/$(CROSS) build/cross/check_kernels

# What a user gets: sdist, the wheel made from it, the tests against that wheel out of the checkout.
dist: $(VENV)/dev  ## build the sdist and wheel and test the wheel outside the checkout
	rm -rf dist build/dist
	$(BIN)/python -m build
	$(PYTHON) -m venv build/dist/venv
	build/dist/venv/bin/python -m pip $(PIPFLAGS) install "$$(ls dist/*.whl)[test]"
	outside=$$(mktemp -d) && cp -r tests pyproject.toml "$$outside" && cd "$$outside" \
	    && $(CURDIR)/build/dist/venv/bin/python -m pytest -m 'not stress' $(ARGS); status=$$?; \
	    rm -rf "$$outside"; exit $$status

clean:  ## remove all that the other targets made, the virtual environment too
	rm -rf $(VENV) build dist src/*.egg-info src/fastmlp/*.so
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps below say what is in the virtual environment; each is newer than what it was made from.

# The environment and what builds the package, which the first list in pyproject.toml names. Debian
# packs the headers of Python apart: if missing, they are unpacked here, which takes no root.
$(VENV)/made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	    "fastmlp needs Python 3.10 or later: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	@include=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	name=$$(basename "$$include"); \
	if [ ! -e "$$include/Python.h" ] && [ ! -e $(HEADERS)/python/Python.h ]; then \
	    echo "No Python.h in $$include: unpacking Debian's lib$$name-dev into $(VENV)"; \
	    mkdir -p $(HEADERS) && cd $(HEADERS) && apt-get --quiet=2 download "lib$$name-dev" \
	        && dpkg -x lib"$$name"-dev_*.deb . && ln -sfn "usr/include/$$name" python \
	    || { echo "fastmlp needs the headers of Python: apt install python3-dev"; exit 1; }; \
	fi
	sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr , ' ' | xargs $(PIP) install
	@touch $@

# The package itself, in place: Python files are used where they stand, C and Cython are compiled.
$(VENV)/built: $(VENV)/made setup.py $(SOURCES)
	$(PIP) install --no-build-isolation --editable .
	@touch $@

$(VENV)/test $(VENV)/dev: pyproject.toml | $(VENV)/built
	$(PIP) install --no-build-isolation --editable '.[$(notdir $@)]'
	@touch $@
