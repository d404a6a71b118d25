# `make demo` and `make test` set up what they need on a machine with Python 3.11 or later. `make web` also needs npm.
PYTHON ?= python3
VENV ?= .venv
comma := ,
EXTRAS ?= slow
# Two at once, as most tests use one core.
PYTEST_OPTIONS ?= -n 2 --dist worksteal
IMAGES = examples/images
WEB = build/web
ONNXRUNTIME = ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm
# JAX compiles each operation for each size. The cache lets tests share what is compiled.
JAX_CACHE = JAX_COMPILATION_CACHE_DIR=$(VENV)-backends/jax-cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.PHONY: demo web docs test test-all test-backends lint clean

# Prints the distances of real images, from this checkout.
demo: $(VENV)/installed
	$(VENV)/bin/lpips-tf pair $(IMAGES)/reference.png $(foreach name,darkened noisy compressed blurred,$(IMAGES)/$(name).png)

# Builds the page examples/web with all that it loads: `python -m http.server -d build/web` serves it, and
# scripts/docs/screenshots.py draws the images of README.md and docs/ that show it.
web: $(WEB)/alex.onnx $(WEB)/alex-spatial.onnx $(WEB)/onnxruntime
	cp examples/web/*.html examples/web/*.css examples/web/*.js $(IMAGES)/reference.png $(IMAGES)/noisy.png $(WEB)

$(WEB)/alex.onnx $(WEB)/alex-spatial.onnx: $(wildcard lpips_tf/*.py lpips_tf/*/*.py) | $(VENV)/installed-onnx
	mkdir -p $(WEB)
	$(VENV)/bin/lpips-tf export onnx $@ $(if $(findstring spatial,$@),--spatial)

$(WEB)/onnxruntime: examples/web/package-lock.json
	npm ci --prefix examples/web --ignore-scripts --no-audit --no-fund --loglevel error
	rm -rf $@ && mkdir -p $@
	cp $(addprefix examples/web/node_modules/onnxruntime-web/dist/,$(ONNXRUNTIME)) $@

# Builds the documentation as a site in build/docs. Any warning, such as for a broken link, is an error. The variable
# silences a notice that Material's support ends in May 2027; its successor reads the same configuration.
docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --quiet

# Runs all but the slow tests, and those that need what the extra packages bring.
test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -m "not slow" $(PYTEST_OPTIONS)

# Runs all tests. EXTRAS=slow,parity,tfds adds live comparisons with PyTorch and the official lpips, and TFDS' command.
test-all: $(VENV)/installed-$(EXTRAS)
	$(VENV)/bin/python -m pytest $(PYTEST_OPTIONS)

# Tests the numbers on the JAX and PyTorch backends, without TensorFlow.
test-backends: $(VENV)-backends/installed
	KERAS_BACKEND=jax $(JAX_CACHE) $(VENV)-backends/bin/python -m pytest tests/backends $(PYTEST_OPTIONS)
	KERAS_BACKEND=torch $(VENV)-backends/bin/python -m pytest tests/backends $(PYTEST_OPTIONS)

lint: $(VENV)/installed-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

clean:
	rm -rf $(VENV) $(VENV)-backends build *.egg-info examples/web/node_modules

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@ $(VENV)/installed $(addprefix $(VENV)/installed-,$(subst $(comma), ,$*))

# The package is installed without its dependencies, to leave out TensorFlow; the others are named here.
$(VENV)-backends/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-backends
	$(VENV)-backends/bin/python -m pip install --quiet --disable-pip-version-check \
		keras jax torch==2.13.0 h5py pillow typer rich pytest pytest-xdist hypothesis scikit-image
	$(VENV)-backends/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
