# Everything a fresh machine needs is installed by scripts/setup.sh, which every target runs first.
SWIFT_FLAGS = -c release
AUTODIDACT = .build/release/autodidact

.PHONY: learn test test-long build setup docs bench bench-peers bench-recipes

setup:
	@bash scripts/setup.sh

build: setup
	swift build $(SWIFT_FLAGS) --product autodidact

## The main job on the embedded default: a small decoder teaches itself addition.
learn: build
	$(AUTODIDACT) learn --task addition

test:
	@bash scripts/setup.sh models
	swift build $(SWIFT_FLAGS) --build-tests
	bash scripts/test.sh

## Long learning runs: the claims of README, each a resumable cell.
test-long: build
	python3 Tests/learning_check.py $(AUTODIDACT)

## The reference of the library, from its comments.
docs: build
	bash scripts/docs.sh

## The engine's speed and memory on a real model, in about a quarter of an hour: docs/performance.md.
bench:
	@bash scripts/setup.sh models
	swift build $(SWIFT_FLAGS) --product autodidact
	swift build $(SWIFT_FLAGS) --product engine-bench
	python3 Benchmarks/bench.py

## Every way to learn from the same start with the same number of tokens; 51 resumable cells of 4 to 50 processor minutes. DATA holds the public data.
bench-recipes:
	@bash scripts/setup.sh models
	swift build $(SWIFT_FLAGS) --product autodidact
	python3 Benchmarks/recipes.py $(DATA)

## The same work in PyTorch, TRL and llama.cpp, in turn with ours. Installs them outside the tree.
bench-peers:
	@bash scripts/setup.sh models
	@bash scripts/peers.sh
	swift build $(SWIFT_FLAGS) --product engine-bench
	python3 Benchmarks/bench.py --peers
