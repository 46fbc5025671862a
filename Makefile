# The two commands: `make demo` and `make test`. Everything they need they install into .venv and .venvs.
# Tests by tier (tests/support/tiers.py): quick; test, with quick in it; exhaustive; peers. The last three are all of them.
PYTHON ?= python3
VENV := .venv
TFLITE := .venvs/tflite-runtime
LIGHT := .venvs/light
WORKERS ?= 2
RETRY := .ci/retry
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo quick coverage test exhaustive peers check light explore clean

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RETRY) $(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# tflite-runtime needs Python 3.11 and numpy < 2: an environment of its own, with the light part of the product.
$(TFLITE)/.ready: pyproject.toml tests/constraints-tflite-runtime.txt
	$(PYTHON) -m venv $(TFLITE)
	$(RETRY) $(TFLITE)/bin/pip install --quiet --constraint tests/constraints-tflite-runtime.txt --editable '.[tflite-runtime]'
	touch $@

# What a device installs: the light core and one runtime; no torch, no onnx.
$(LIGHT)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LIGHT)
	$(RETRY) $(LIGHT)/bin/pip install --quiet --constraint constraints.txt --editable '.[camera]' hypothesis pytest pytest-timeout pytest-xdist
	touch $@

# The wheel is tried on Python 3.13 too, where there is one: what the light part and `edge inspect` need.
PYTHON313 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13) $(shell command -v python3.13))
NEWER := $(if $(PYTHON313),.venvs/python3.13)
.venvs/python3.13/.ready: pyproject.toml constraints.txt
	$(PYTHON313) -m venv .venvs/python3.13
	$(RETRY) .venvs/python3.13/bin/pip install --quiet --constraint constraints.txt --editable '.[inspect]'
	touch $@

# Other people's tools whose files or answers the tests compare with: pinned whole, one environment each.
TOOLS := nncf brevitas modelopt mediapipe ai-edge-quantizer litert-cli pycocotools captum
.PRECIOUS: .venvs/%/.ready
.venvs/%/.ready: tests/constraints-%.txt
	$(PYTHON) -m venv .venvs/$*
	$(RETRY) .venvs/$*/bin/pip install --quiet --no-deps --requirement $<
	touch $@

# onnx2tf and TensorFlow, as `edge convert --prepare-onnx2tf` pins them.
ONNX2TF := .venvs/onnx2tf
$(ONNX2TF)/.ready: converters/onnx2tf/requirements.txt
	$(PYTHON) -m venv $(ONNX2TF)
	$(RETRY) $(ONNX2TF)/bin/pip install --quiet --no-deps --requirement $<
	touch $@

# An aarch64 userland under qemu-user, as `edge bench --prepare --on emulated-arm64` builds it: build.sh says what it needs.
EMULATED_PI := .venvs/emulated-pi
.PHONY: emulated-pi
emulated-pi: $(VENV)/.ready
	device_bench/targets/emulated_arm64/build.sh $(EMULATED_PI) $(VENV)/bin/python

demo: $(VENV)/.ready
	$(VENV)/bin/python docs/demo.py

# What needs .venv alone and takes a moment.
quick: $(VENV)/.ready
	$(PYTEST) --tier quick --durations 20 --durations-min 0.5

# The same tests with the share of the product's lines that they run; below the floor in pyproject.toml it fails.
coverage: $(VENV)/.ready
	$(PYTEST) --tier quick --cov

# Every test but the sweeps and those against other people's tools; TIER=rest leaves quick out, behind `make coverage`.
TIER ?= test
test: $(VENV)/.ready $(TFLITE)/.ready $(LIGHT)/.ready
	$(PYTEST) --tier $(TIER)

# Sweeps, and claims on many photographs.
exhaustive: $(VENV)/.ready $(TFLITE)/.ready $(LIGHT)/.ready
	$(PYTEST) --tier exhaustive

# Against other people's tools, another Python, a real sshd and an emulated Raspberry Pi.
# The emulated userland needs Debian 12's apt: elsewhere its tests are skipped, but not in CI.
peers: $(VENV)/.ready $(ONNX2TF)/.ready $(NEWER:%=%/.ready) $(TOOLS:%=.venvs/%/.ready)
	device_bench/targets/emulated_arm64/build.sh $(EMULATED_PI) $(VENV)/bin/python || test -z "$$CI"
	.ci/sshd
	$(PYTEST) --tier peers

check: $(VENV)/.ready
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# The tests that draw their examples, with others than those tiers draw: by hand, for MINUTES.
MINUTES ?= 10
explore: $(VENV)/.ready
	$(VENV)/bin/python tests/explore.py --minutes $(MINUTES) --workers $(WORKERS)

# The tests of the light part, with what a device installs and nothing else.
light: $(LIGHT)/.ready
	OMP_NUM_THREADS=1 $(LIGHT)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal -m light

clean:
	rm -rf $(VENV) .venvs build demo_out

.PHONY: schema
schema: $(VENV)/.ready
	$(VENV)/bin/python -c "import json; from edge.artifact.manifest import Manifest; print(json.dumps(Manifest.model_json_schema(), indent=2))" > docs/manifest.schema.json
	$(VENV)/bin/python -c "import json; from device_bench.records.record import record_schema; print(json.dumps(record_schema(), indent=2))" > docs/record.schema.json

# The API reference from the docstrings, one page per module: build/api/index.html.
.PHONY: docs
docs: $(VENV)/.ready
	$(VENV)/bin/python docs/api_reference.py build/api
