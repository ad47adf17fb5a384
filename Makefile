# `make help` lists the targets. BUILD, PREFIX, DESTDIR, CC, CXX, CARGO and PYTHON can be set.

CARGO   ?= cargo
CC      ?= cc
CXX     ?= c++
PYTHON  ?= python3
BUILD   ?= build
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR  ?= $(PREFIX)/share/man

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME  := libctr.so.$(firstword $(subst ., ,$(VERSION)))
TARGET  := $(or $(CARGO_TARGET_DIR),target)
LIB     := $(BUILD)/lib
VENV    := $(BUILD)/venv
RUST    := Cargo.toml Cargo.lock $(shell find src crates -type f)

export CC CXX CARGO PYTHON BUILD VENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lib setup demo test test-rust test-c test-python test-lanes test-vm test-lab soak fuzz bench lint fmt header docs wheel venv install uninstall clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo '  Variables: PREFIX=$(PREFIX) DESTDIR= BUILD=$(BUILD) CC=$(CC) CXX=$(CXX) PYTHON=$(PYTHON)'

lib: $(LIB)/libctr.so $(LIB)/ctr.pc ## libctr.so, libctr.a and ctr.pc in build/lib

demo: ## set up, build, and run the main job from C and from Python, wall by wall
	@tools/setup demo
	@[ -e $(LIB)/libctr.so ] || echo '== the library, compiled with all optimization: minutes, the first time'
	@$(MAKE) --no-print-directory lib
	@tools/demo

test: ## set up what is missing and run every test that this machine can run
	@tools/setup test
	@tools/test rust c python subuids user nested filtered vm

test-rust: ## the tests of the Rust crate
	@tools/test rust

test-c: ## the C and C++ examples and tests, valgrind, install and pkg-config
	@tools/test c

test-python: ## the tests of the Python package, in a virtual environment
	@tools/test python

test-lanes: ## the main job as ordinary users, nested, and under filters: a few seconds
	@tools/test subuids user nested filtered

test-vm: ## the tests on another kernel, in a virtual machine
	@tools/test vm

test-lab: ## JupyterLab in a real browser (needs chromium); CTR_LAB_SHOTS=DIR keeps what it looked like
	@tools/venv
	@$(VENV)/bin/pip install -q jupyterlab playwright
	@$(VENV)/bin/python -m pytest -q -ra -c /dev/null --rootdir tests/lab -p no:cacheprovider tests/lab

soak: ## containers made and killed for SECONDS (600), then a server with 200: in the end nothing of them may be left
	CTR_SOAK_SECONDS=$(or $(SECONDS),600) $(CARGO) test -q --test soak -- --ignored --exact minutes_of_kills_leave_nothing --nocapture
	@[ ! -x $(VENV)/bin/python ] || $(VENV)/bin/python tests/python/server_load.py 200 $(or $(SECONDS),600)

fuzz: ## every fuzz target for SECONDS (60) each, from its seeds
	@tools/fuzz $(or $(SECONDS),60)

bench: lib ## the benchmarks beside the floor and the installed peers
	@tools/setup bench
	@if [ -e pyproject.toml ]; then $(MAKE) --no-print-directory venv; fi
	@CTR_LIBDIR=$(abspath $(LIB)) PYTHON=$(abspath $(VENV))/bin/python benches/run.sh

lint: ## what is wrong and can be seen without running: format, clippy, header, symbols, Python
	@tools/lint

fmt: ## format the Rust and Python sources
	$(CARGO) fmt --all
	@if [ -x $(VENV)/bin/ruff ]; then $(VENV)/bin/ruff format python tests/python examples docs tools/test; fi

header: ## write include/ctr.h and the names in src/ffi/ctr.map from src/ffi
	$(CARGO) run -q -p ctr-header

docs: ## the manual pages and the HTML reference of C and Python, in build/docs
	@tools/docs $(BUILD)/docs

wheel: ## what a package index gets, in build/wheels: the sources, and a wheel for older machines too
	@tools/wheel

venv: ## the Python package, built and installed in build/venv
	@tools/venv

install: lib ## library, header, ctr.pc and manual pages below DESTDIR PREFIX
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)
	install -m 644 include/ctr.h $(DESTDIR)$(INCLUDEDIR)/ctr.h
	install -m 644 $(LIB)/libctr.a $(DESTDIR)$(LIBDIR)/libctr.a
	install -m 755 $(LIB)/libctr.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libctr.so.$(VERSION)
	strip --strip-debug $(DESTDIR)$(LIBDIR)/libctr.so.$(VERSION)
	ln -sf libctr.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libctr.so
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
		tools/ctr.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/ctr.pc
	@if command -v $(PYTHON) >/dev/null; then \
		$(PYTHON) tools/docs $(BUILD)/docs man && \
		install -d $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 && \
		install -m 644 $(BUILD)/docs/man1/* $(DESTDIR)$(MANDIR)/man1 && \
		install -m 644 $(BUILD)/docs/man3/* $(DESTDIR)$(MANDIR)/man3; \
	else echo 'no manual pages: $(PYTHON) is not installed'; fi
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig || true; fi

uninstall: ## removes what install put there
	rm -f $(DESTDIR)$(INCLUDEDIR)/ctr.h $(DESTDIR)$(LIBDIR)/libctr.a $(DESTDIR)$(LIBDIR)/libctr.so \
		$(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libctr.so.$(VERSION) $(DESTDIR)$(LIBDIR)/pkgconfig/ctr.pc \
		$(DESTDIR)$(MANDIR)/man1/libctr.1 $(DESTDIR)$(MANDIR)/man3/ctr.3 $(DESTDIR)$(MANDIR)/man3/ctr_*.3

clean: ## removes what was built
	rm -rf $(BUILD)
	$(CARGO) clean

# A crate type of its own, because rustc does link-time optimization only where no rlib is asked for.
$(TARGET)/release/libctr.a: $(RUST)
	$(CARGO) rustc --release --lib --crate-type staticlib
	@touch $@

$(LIB)/libctr.so: $(TARGET)/release/libctr.a src/ffi/ctr.map tools/link
	@tools/link $< $(VERSION) $(LIB)
	@touch $@

# For programs that are built against this tree.
$(LIB)/ctr.pc: tools/ctr.pc.in Cargo.toml
	@mkdir -p $(LIB)
	@sed -e 's|@PREFIX@|$(CURDIR)|; s|@LIBDIR@|$(abspath $(LIB))|; s|@INCLUDEDIR@|$(CURDIR)/include|; s|@VERSION@|$(VERSION)|' \
		$< >$@
