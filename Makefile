# What one types. Each target is one script; what needs an `if` lives in scripts/.
.DEFAULT_GOAL := help
.PHONY: help install fmt lint types layers test test-fast test-rabbit test-rabbit4 soak conformance run run-rabbit bench bench-peers bench-micro bench-attack docs locks js images test-images check-deploy chart manifests test-k8s clean
PY := .venv/bin/python

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: ## make .venv with all that development needs
	scripts/dev/venv dev

fmt: install ## format the code and mend what can be mended
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lint: install ## rules, format and layers
	scripts/dev/check lint
types: install ## mypy, strict
	scripts/dev/check types
layers: install ## who imports whom
	scripts/dev/check layers

test: ## everything: fetch what is missing, lint, types, layers, docs, all tests against a real RabbitMQ
	scripts/test/all
test-fast: install ## unit and contract tests that need neither RabbitMQ nor a browser
	$(PY) -m pytest -q -m "not rabbit and not page and not slow"
test-rabbit: install ## the tests that need RabbitMQ
	scripts/dev/need rabbitmq
	$(PY) -m pytest -q -m rabbit

test-rabbit4: install ## contract, integration and fault suites on RabbitMQ 4.3 and 4.0, which it fetches (Debian, as root)
	scripts/test/rabbit4

soak: install ## kill, freeze and cut everything for SECONDS=… and see that nothing is lost; SEED=… repeats a run
	scripts/dev/need rabbitmq
	scripts/test/soak "$(SECONDS)" "$(SEED)" $(ARGS)

conformance: install ## the Autobahn test suite, and clients in JavaScript, Go and Java, which it fetches: some minutes (ARGS="-k language")
	scripts/test/conformance $(ARGS)

run: ## two gateways and a router in one process, and a page to chat in: http://127.0.0.1:8080 (PORT=… for another)
	scripts/dev/venv run
	$(PY) -m embedded
run-rabbit: ## the same as separate processes on a real RabbitMQ (WARREN_AMQP_URL, else a private node), with the page on :8082
	scripts/dev/venv run
	$(PY) -m scripts.dev.run_rabbit

bench: install ## measure: messages through the whole path, fan-out, idle connections
	scripts/dev/need rabbitmq
	scripts/bench/run
bench-micro: install ## what single parts cost, without broker and sockets
	scripts/bench/run "micro --quiet"
bench-attack: install ## one who means harm beside clients who behave well: half an hour (ARGS="--only NAMES": less)
	scripts/dev/need rabbitmq
	scripts/bench/run "attack $(ARGS)"
bench-peers: install ## measure Warren beside python-socketio, Socket.IO, Centrifugo and ws: about 25 minutes (ARGS=--quick: small sizes)
	scripts/bench/peers $(ARGS)
docs: install ## make what is made from the code: docs/settings.md, topology.md, log.md, reference, and types
	scripts/docs/generate
locks: install ## make requirements/*.lock from the members' dependencies
	scripts/dev/locks

js: ## build the JavaScript client: clients/js/dist, and clients/js/warren.js, which is committed (npm fetches esbuild and TypeScript)
	scripts/js/build
images: ## both container images, by docker, podman or buildah (ARGS="TAG --archive FOLDER")
	scripts/deploy/build-images $(ARGS)
test-images: install ## build both images, and a chat through containers that may write nothing (OFFLINE=1 without a registry)
	scripts/test/images
check-deploy: install ## compose file, load balancers, alerts and dashboards, each read by its own program
	scripts/deploy/check
chart: install ## the Helm chart: lint, render, validate for several versions of Kubernetes, assert, manifests in step
	scripts/chart/check
manifests: install ## make dashboards, deploy/k8s/manifests, the chart's version, table, schema and copies, and the broker's definitions
	scripts/chart/manifests
test-k8s: install ## the chart on the cluster of KUBECONFIG, to which IMAGE_LOAD=… gives an image (the script says how)
	scripts/test/k8s

clean: ## remove what was made (.venv too)
	scripts/dev/clean
