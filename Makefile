# `make demo` recognizes digits in the kernel, `make test` checks and tests everything. Both set up what they need, on Debian or
# Ubuntu as root, and start in seconds the second time.
PYTHON ?= python3
comma  := ,
VENV   := .venv
BIN    := $(VENV)/bin
# The newest of Debian's versioned clangs; where there is none, `clang`. Looked up each time, since a recipe may have installed one.
export CLANG ?= $(or $(lastword $(shell ls /usr/bin/clang-[0-9]* 2>/dev/null | sort -V)),clang)
# `make test TORCH=no` does without PyTorch: tests that need it skip, and types are not checked.
TORCH ?= yes
export EBPFNN_TORCH := $(TORCH)
# On a busy machine, threads of BLAS and PyTorch mostly wait for each other.
test unit: export OPENBLAS_NUM_THREADS := 1
test unit: export OMP_NUM_THREADS := 1
DEVELOPMENT := $(VENV)/.development$(if $(filter no,$(TORCH)),-torchless)
# ISA v3 is what Linux 5.10 takes.
BPFFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -Ibpf/include -Iebpfnn/bench/native

SOURCES := $(wildcard bpf/*.bpf.c)
HEADERS := $(wildcard bpf/include/ebpfnn/*.h)
OBJECTS := $(SOURCES:bpf/%.bpf.c=ebpfnn/data/bpf/%.bpf.o)
PACKAGED := $(HEADERS:bpf/%=ebpfnn/data/%) $(SOURCES:bpf/%=ebpfnn/data/bpf/%)

TRAINED := $(addprefix train-,mnist mnist-1bit mnist-1bit-64 mnist-128 mnist-table-16 mnist-table-32 mnist-table-64 mnist-table-128 \
	mnist-cascade mnist-cnn fashion)

.DELETE_ON_ERROR:
.PHONY: all demo test test-fresh test-vm oracle check unit bpf mounts bench showcase-flows showcase-files showcase-guard \
	showcase-file-guard man docs dist install uninstall loader-conformance $(TRAINED) clean

all: bpf

demo: $(VENV)/.runtime mounts
	@$(MAKE) --no-print-directory bpf
	@$(BIN)/ebpfnn doctor
	$(BIN)/ebpfnn infer --check tests/data/digits/*.png
	cat tests/data/digits/*.png | $(BIN)/ebpfnn infer --trigger run

test: check mounts
	@$(MAKE) --no-print-directory bpf
	$(BIN)/pytest

# README's commands on Debians that never saw this project, in a root of their own each: what is committed, on this kernel. As root.
SUITES := bookworm trixie
test-fresh:
	@tools/install-packages.sh debootstrap debian-archive-keyring
	@set -e; for suite in $(SUITES); do tools/fresh/run.py $$suite 'make demo && make test'; done

# tests/kernel under other kernels, in virtual machines that run at the same time, one processor each; on Debian.
VM_KERNELS := 5.10 6.1
VM_SECONDS := 3000
# What differs most between kernels: networks, hooks, links, rings, triggers, observers and instances. Emulated, each file takes
# a minute.
VM_TESTS ?= $(patsubst %,tests/kernel/test_%.py,shipped session hook_kprobe hook_tracing hook_uprobe hook_tracepoint \
	hook_perf_event task_triggers packets_live fields_packets fields_tasks fields_functions \
	observer observer_locks observer_shells observer_state observer_tasks observer_verdicts observers \
	observing_packets observing_tasks guards_live guards_tasks guards_lsm action_drop action_signal instance_swap link map ringbuf object \
	listed_tables trees_kernel)
test-vm: $(DEVELOPMENT) mounts
	@tools/install-packages.sh qemu-system-x86 busybox-static
	@tools/install-packages.sh virtiofsd
	@$(MAKE) --no-print-directory bpf
	@$(MAKE) --no-print-directory --jobs=$(words $(VM_KERNELS)) --output-sync=target $(addprefix test-vm-,$(VM_KERNELS))

test-vm-%:
	tools/vm/run.py --timeout $(VM_SECONDS) $* '$(BIN)/pytest -q -p no:cacheprovider --tb=short -m "not slow" $(VM_TESTS)'

# Random networks in the kernel, held to docs/quantization.md, forests, held to docs/trees.md, and specs, held to docs/events.md; SEED
# and NETWORKS, FORESTS or SPECS bring back what was found.
SECONDS := 60
oracle: $(DEVELOPMENT) mounts
	@$(MAKE) --no-print-directory bpf
	PYTHONPATH=tests:tests/support $(BIN)/python -m oracle --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(NETWORKS),--networks $(NETWORKS)) \
		$(if $(FORESTS),--forests $(FORESTS)) $(if $(SPECS),--specs $(SPECS))

check: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(filter no,$(TORCH)),@echo "no PyTorch: types are not checked",$(BIN)/mypy)

unit: $(DEVELOPMENT) bpf
	$(BIN)/pytest tests/unit

# What the package ships, so that who installs it needs no clang: objects, their sources as the license asks, and headers.
bpf: $(OBJECTS) $(PACKAGED)

ebpfnn/data/bpf/%.bpf.o: bpf/%.bpf.c $(HEADERS) $(wildcard ebpfnn/bench/native/*.h) Makefile
	@command -v $(CLANG) >/dev/null || { echo "make bpf: $(CLANG) not found; apt-get install clang" >&2; exit 1; }
	@mkdir -p $(@D)
	$(CLANG) $(BPFFLAGS) -c $< -o $@

ebpfnn/data/include/%.h: bpf/include/%.h
	@mkdir -p $(@D)
	@cp $< $@

ebpfnn/data/bpf/%.bpf.c: bpf/%.bpf.c
	@mkdir -p $(@D)
	@cp $< $@

bench: $(VENV)/.runtime mounts
	@$(MAKE) --no-print-directory bpf
	$(BIN)/ebpfnn bench

# A shipped network again, from its seed, by its recipe in tools/networks.py; a cascade from the files of its networks. The
# data is downloaded, or read from $$EBPFNN_DATA (MNIST) and $$EBPFNN_FASHION_DATA (Fashion-MNIST).
$(TRAINED): train-%: $(DEVELOPMENT)
	$(BIN)/python tools/networks.py train $*

# What networks recognize, beside trees: the tables of docs/showcase.md. As root; takes some minutes each. Programs that cannot be
# installed are skipped, which is said.
SHOWCASE := .cache/showcase
showcase-flows: NEEDS := curl wrk iperf3 dropbear-bin bind9-dnsutils nmap hping3 slowhttptest hydra
showcase-files: NEEDS := gzip tar gpg rsync git make gcc
showcase-guard: NEEDS := nftables hping3 gcc
showcase-file-guard: NEEDS := gzip tar gpg rsync git make gcc xz-utils
showcase-flows showcase-files showcase-guard showcase-file-guard: showcase-%: $(DEVELOPMENT) mounts
	@for package in $(NEEDS); do tools/install-packages.sh $$package || echo "$$package: cannot be installed" >&2; done
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint tools/constraints.txt --editable '.[train,showcase]'
	@$(MAKE) --no-print-directory bpf
	$(BIN)/python tools/showcase/$(subst -,_,$*).py $(SHOWCASE)/$*

# Man pages, one a verb, from the help of the commands: they ship in the package.
man: $(VENV)/.runtime
	$(BIN)/python tools/man.py ebpfnn/data/man

# docs/ as HTML with an API reference from the docstrings, in build/docs. A name that leads nowhere ends it.
docs: $(VENV)/.runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint tools/constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

dist: $(VENV)/.runtime man
	@$(MAKE) --no-print-directory bpf
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint tools/constraints.txt build
	$(BIN)/python -m build

# For all users and for systemd: ebpfnn in a virtual environment of its own, its command where every PATH finds it, its units, and
# its man pages.
INSTALLED := /opt/ebpfnn
COMMAND := /usr/local/bin/ebpfnn
UNITS := /usr/local/lib/systemd/system
MANUAL := /usr/local/share/man/man1
install: $(VENV)/.runtime man
	@$(MAKE) --no-print-directory bpf
	@test -x $(INSTALLED)/bin/python || $(PYTHON) -m venv $(INSTALLED)
	$(INSTALLED)/bin/pip install --quiet --disable-pip-version-check '.[exporter]'
	ln -sfn $(INSTALLED)/bin/ebpfnn $(COMMAND)
	install -D -m 644 -t $(UNITS) ebpfnn/data/systemd/*.service
	install -D -m 644 -t $(MANUAL) ebpfnn/data/man/*.1

uninstall:
	rm -rf $(INSTALLED) $(COMMAND) $(addprefix $(UNITS)/,$(notdir $(wildcard ebpfnn/data/systemd/*.service))) \
		$(MANUAL)/ebpfnn.1 $(MANUAL)/ebpfnn-*.1

# The kernel's own BPF self-tests, loaded by bpftool and by ebpfnn: the table of docs/loader.md. Takes some ten minutes.
SELFTESTS := .cache/selftests
loader-conformance: $(DEVELOPMENT) mounts $(SELFTESTS)
	$(BIN)/python tools/loader_conformance.py $(SELFTESTS)/*/tools/testing/selftests/bpf $(SELFTESTS)/built

$(SELFTESTS):
	@tools/install-packages.sh bpftool linux-source libbpf-dev xz-utils
	@mkdir -p $@
	tar -C $@ -xf $$(ls /usr/src/linux-source-*.tar.xz | tail -1) --wildcards '*/tools/testing/selftests/bpf' '*/tools/include' '*/tools/bpf'

mounts:
	@test "$$(id -u)" = 0 || { echo "make: loading BPF needs root; run it with sudo" >&2; exit 1; }
	@mountpoint -q /sys/kernel/tracing || { echo "mounting tracefs on /sys/kernel/tracing"; mount -t tracefs tracefs /sys/kernel/tracing; }
	@mountpoint -q /sys/fs/bpf || { echo "mounting bpffs on /sys/fs/bpf"; mount -t bpf bpf /sys/fs/bpf; }

$(VENV)/.runtime: setup.cfg pyproject.toml
	@tools/install-packages.sh python3-venv clang
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.development $(VENV)/.development-torchless: $(VENV)/.runtime tools/constraints.txt
	@tools/install-packages.sh gcc libc6-dev iproute2 bpftool systemd
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint tools/constraints.txt \
		--editable '.[test$(if $(filter %-torchless,$@),,$(comma)train)]'
	@touch $@

clean:
	rm -rf $(VENV) ebpfnn/data/bpf ebpfnn/data/include ebpfnn/data/man build dist
