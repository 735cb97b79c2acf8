# GNU make and a POSIX shell. The tools of `make lint` are pinned in go.mod; everything else that is needed is Go, and for
# `make race` a C compiler, for `make e2e` Java 17, Maven and Prometheus, for `make image` docker, podman or buildah.

GO       ?= go
FUZZTIME ?= 20s
# Without text/template and net/trace, which look up methods by name, the linker leaves out the methods that nobody calls:
# 22.3 MB instead of 33.1.
TAGS     ?= urfave_cli_no_template,grpcnotrace
BUILD     = -trimpath -buildvcs=auto -tags=$(TAGS) -ldflags=-s
SOAK     ?= 1h
TOPICS   ?= raw.hosts domains.candidates phish.urls.inactive phish.urls.crawl typostream.dlq

# The packages with end-to-end tests: those with a test file that begins with the build tag.
E2E_FILES     = $(shell grep -rlE --include='*_test.go' '^//go:build e2e( && (linux|unix))?$$' .)
E2E_PACKAGES  = $(sort $(dir $(E2E_FILES)))
# Of them those tests alone: the others have run without Kafka.
E2E_TESTS     = $(shell sed -n 's/^func \(Test[A-Za-z0-9_]*\)[^A-Za-z0-9_].*testing[.]T.*/\1/p' $(E2E_FILES) | sort -u | paste -sd '|' -)

.DEFAULT_GOAL := help
.PHONY: help build image image-root image-test dist dist-test demo demo-reliability picture picture-run test race lint bench bench-dns bench-emit bench-stalls chaos soak fuzz coverage e2e kafka-jars kafka-up clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: bin/typostream ## build bin/typostream, one static binary

# Go knows best what is out of date. The version comes from the build info: tag, commit and whether files were changed.
bin/typostream: FORCE
	CGO_ENABLED=0 $(GO) build $(BUILD) -o $@ ./cmd/typostream

# docker without its daemon is no engine.
ENGINE   ?= $(shell if docker info >/dev/null 2>&1; then echo docker; else basename "$$(command -v podman || command -v buildah)"; fi)
IMAGE    ?= typostream

image: image-root ## build the image typostream with docker, podman or buildah, whichever is there; needs no registry
	@case "$(ENGINE)" in \
	docker) set -- docker build;; \
	podman) set -- podman build --format docker;; \
	buildah) set -- buildah bud --format docker;; \
	*) echo "none of docker, podman and buildah is here"; exit 1;; \
	esac; \
	"$$@" -f docker/Dockerfile --build-arg FROM=prebuilt --build-arg VERSION="$$(cat bin/image/version)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" -t $(IMAGE) bin/image

image-root: ## the files of the image, in bin/image
	$(GO) run ./internal/dist -build '$(BUILD)' image bin/image

image-test: kafka-jars ## build the image with buildah, outside and inside, compare, and run it read-only against three real Kafka brokers; Linux, root
	$(GO) test -tags image -count=1 -timeout 10m -v -run Image ./docker

dist: bin/nfpm ## archives, deb, rpm, bills of materials and checksums for eight systems, in bin/dist; TARGETS=linux/amd64,... for some
	$(GO) run ./internal/dist -build '$(BUILD)' -nfpm bin/nfpm $(if $(TARGETS),-targets $(TARGETS)) archives bin/dist

bin/nfpm: docker/package/nfpm/go.mod docker/package/nfpm/go.sum
	$(GO) build -C docker/package/nfpm -o $(CURDIR)/$@ github.com/goreleaser/nfpm/v2/cmd/nfpm

dist-test: ## make dist twice in two places, compare, look into everything; install, upgrade and remove the deb, run its service under a systemd of its own; Debian, root
	$(GO) test -tags dist -count=1 -timeout 30m -v -run Dist ./docker

demo: ## scan two domains against a DNS server and a Kafka inside the process
	$(GO) run ./internal/demo

picture: ## draw docs/pictures anew: a scan on a terminal, and the board's questions from the recorded run; not on Windows
	$(GO) run ./internal/picture

picture-run: ## record that run anew: workers watched by Prometheus while things fail; needs Prometheus
	$(GO) test -tags e2e -count=1 -timeout 10m -run '^TestFaults$$' ./docker/monitoring -record $(CURDIR)/docs/pictures/run.json

demo-reliability: ## a worker while leaders move, brokers go and come back, and a record is refused
	$(GO) run ./internal/demo reliability

test: ## go vet and all tests; no Java, and no network but for the Go modules
	$(GO) vet ./...
	$(GO) test -shuffle=on ./...
	$(GO) test -tags=$(TAGS) -run '/(help|exit_codes|refusals)$$' ./cmd/typostream # what is built, in what the tags change
	$(GO) test -tags=portable -shuffle=on ./resolver # as other systems have it
	$(GO) -C docker/check test -shuffle=on .

race: ## all tests under the race detector; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -shuffle=on ./...

# `go tool` knows a module's own tools only: for the module in docker/check it is asked where the binary is.
lint: ## gofumpt, go vet, staticcheck; with and without the end-to-end tests
	@files="$$($(GO) tool gofumpt -l .)" || exit 1; \
	if [ -n "$$files" ]; then printf 'not formatted (go tool gofumpt -w .):\n%s\n' "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags e2e,image,dist,capacity ./...
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags e2e,image,dist,capacity ./...
	$(GO) -C docker/check vet .
	tool="$$($(GO) tool -n staticcheck)" && cd docker/check && "$$tool" .

bench: ## all benchmarks with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-dns: ## typostream against dnsperf, dnsx and dnstwist on a DNS server of its own; Linux, two cores; BENCH=options
	@$(GO) run ./internal/dnsbench -install $(BENCH)

# Each table is measured in one run, the clients in turn.
bench-emit: kafka-jars ## the emitter beside kafka-go's Writer and franz-go, in the process and on three real brokers
	$(GO) run ./internal/emitbench
	$(GO) run ./internal/emitbench -real -callers 1024 -warm 0s
	$(GO) run ./internal/emitbench -real

bench-stalls: kafka-jars ## the longest stall of the emitter and of franz-go while brokers roll, move leaders, die, hang
	@for fault in roll move kill hang; do $(GO) run ./internal/emitbench -fault $$fault || exit 1; done

chaos: kafka-jars ## prove on three failing brokers that nothing is lost: a table, 25 minutes at most; Linux; CHAOS=options
	@$(GO) run ./internal/chaos $(CHAOS)

soak: kafka-jars ## two workers for SOAK (1h) while brokers restart and one of them is killed: memory, files, books, nothing lost; Linux, redis-server
	@$(GO) run ./internal/chaos -soak $(SOAK)

coverage: ## recall of known squats, cross-validated by brand: make coverage SQUATS=FILE (TSV: seed, squat, source)
	@test -n "$(SQUATS)" || { echo "usage: make coverage SQUATS=FILE, columns seed, squat, source"; exit 2; }
	@$(GO) run ./internal/coverage "$(SQUATS)"

fuzz: ## every fuzz target for FUZZTIME (20s)
	@grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file _ func; do \
		dir=$$(dirname "$$file"); name=$${func#func }; \
		echo "$(GO) test -run '^$$' -fuzz '^$$name\$$' -fuzztime $(FUZZTIME) $$dir"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
	done

# One package at a time: each may start three brokers.
e2e: kafka-jars ## end-to-end tests against three real Kafka brokers, the short form of chaos among them; needs Java 17, Maven and Prometheus
	$(GO) test -tags e2e -count=1 -timeout 20m -p 1 -v -run '^($(E2E_TESTS))$$' $(E2E_PACKAGES)

kafka-jars: bin/kafkacluster ## bring the jars of Apache Kafka by Maven, if they are not there
	@bin/kafkacluster fetch

kafka-up: kafka-jars ## run three real Kafka brokers with TOPICS until Ctrl-C
	@bin/kafkacluster up $(TOPICS)

bin/kafkacluster: FORCE
	@$(GO) build -o $@ ./internal/kafkatest/kafkacluster

clean: ## remove what make made, the Kafka jars too
	rm -rf bin out coverage.txt testdata/kafka/libs
