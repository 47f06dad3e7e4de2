# The words people type; Meson and Ninja do the work.
BUILD ?= build
WEIR = $(BUILD)/src/cmd/weir

.PHONY: all build demo test conformance bench bench-live tsan runs faults fuzz soak install format clean
all: build

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	scripts/setup --build
	meson setup $(BUILD)

# A WireGuard overlay between network namespaces, metered, for SECONDS; needs root.
demo: SECONDS ?= 20
demo:
	scripts/setup --demo
	$(MAKE) build
	$(WEIR) demo --seconds $(SECONDS)

test:
	scripts/setup --test
	scripts/test

# docs/conformance.md, from the table of points and what the last `make test` said.
conformance:
	tests/conformance/check.py --write build-test-*/meson-logs/testlog.json

# Every figure of docs/performance.md: the meter beside other exporters, over files and live; refused frames; what is
# sent; collector and store beside nfcapd and nfdump. As root, on a quiet machine, in half an hour or more.
bench:
	scripts/setup --bench
	meson setup build-bench --buildtype=release 2>/dev/null || meson configure build-bench --buildtype=release
	ninja -C build-bench
	tests/bench/run.py build-bench
	build-bench/tests/bench/bench_meter open 10000000 100000 1000000 10000000
	tests/bench/run.py build-bench --shards 1,2
	tests/bench/collect.py build-bench
	tests/bench/denied.py build-bench
	python3 tests/bench/export.py build-bench
	tests/bench/query.py build-bench
	tests/bench/instructions.py build-bench || [ $$? = 77 ]
	tests/bench/live.py build-bench || [ $$? = 77 ]

# Threads that share what they should not: several meters side by side under ThreadSanitizer, over files and, as root,
# over interfaces.
tsan:
	[ -e build-tsan/build.ninja ] || meson setup build-tsan -Db_sanitize=thread -Db_lundef=false
	ninja -C build-tsan src/cmd/weir tests/bench/generate
	tests/bench/threads.py build-tsan
	WEIR=$(CURDIR)/build-tsan/src/cmd/weir python3 tests/e2e/test_shards.py || [ $$? = 77 ]

# Live interfaces, weir beside its peers: as root, some minutes.
bench-live:
	scripts/setup --bench
	meson setup build-bench --buildtype=release 2>/dev/null || meson configure build-bench --buildtype=release
	ninja -C build-bench
	tests/bench/live.py build-bench

# Kills, errors of system calls, full files and power cuts, all of them; as root in something like an hour.
faults: SEED ?= 1
faults:
	scripts/setup --test
	[ -e build-test-plain/build.ninja ] || meson setup build-test-plain -Dbuildtype=release
	ninja -C build-test-plain
	meson test -C build-test-plain --no-rebuild journal_calls
	cd build-test-plain/tests/faults && \
		python3 $(CURDIR)/tests/faults/journal_faults.py ./journal_fault ./journal_mutant --all --seed $(SEED)
	cd build-test-plain/tests/faults && \
		python3 $(CURDIR)/tests/faults/collector_faults.py ./collector_fault ./collector_mutant --all --seed $(SEED)

# A million records over each transport, from weir to weir; and with the collector killed 20 times meanwhile. SCTP in an
# emulated machine, where the export may be over before the last kills.
runs: RECORDS ?= 1000000
runs: BUILT = $(CURDIR)/build-bench
runs:
	scripts/setup --test
	meson setup build-bench --buildtype=release 2>/dev/null || meson configure build-bench --buildtype=release
	ninja -C build-bench
	tests/bench/transports.py build-bench --records $(RECORDS)
	for script in sctp dtls_sctp; do \
		WEIR=$(BUILT)/src/cmd/weir WEIR_COLLECT=$(BUILT)/src/cmd/weir-collect.so VM_HELPER=$(BUILT)/tests/vm/vm_helper \
			OBSERVE_LIVE=$(BUILT)/tests/e2e/observe_live VM_MEMORY=3072 VM_SECONDS=3000 \
			VM_SETTINGS="records=$(RECORDS) kills=20 message=8000" \
			python3 tests/vm/run.py linux-image-cloud-amd64 $$script || [ $$? = 77 ] || exit 1; \
	done

# Mutated datagrams as fast as they go for MINUTES, at a collector with sanitizers.
soak: MINUTES ?= 10
soak:
	scripts/setup --test
	[ -e build-test-asan/build.ninja ] || meson setup build-test-asan -Db_sanitize=address,undefined -Db_lundef=false
	ninja -C build-test-asan src/cmd/weir
	WEIR_ASAN=$(CURDIR)/build-test-asan/src/cmd/weir WEIR_SOAK_SECONDS=$$(($(MINUTES) * 60)) \
		python3 tests/e2e/test_collect_input.py test_mutated_datagrams

# Each fuzz target for SECONDS, from its corpus; findings stay in build-fuzz/.
fuzz: SECONDS ?= 60
fuzz:
	scripts/setup --test
	scripts/fuzz $(SECONDS)

# DESTDIR and PREFIX as usual.
PREFIX ?= /usr/local
install:
	[ -e build-install/build.ninja ] || meson setup build-install --buildtype=release --prefix=$(PREFIX)
	meson configure build-install --prefix=$(PREFIX)
	DESTDIR=$(DESTDIR) meson install -C build-install

format:
	git ls-files 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format -i

clean:
	rm -rf build build-test-* build-bench build-fuzz build-install
