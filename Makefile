# Two commands are enough to begin with:
#
#   make demo      build everything and run examples/quickstart.lua, offline
#   make test      build everything and run every test
#
# On Debian and Ubuntu both install the packages they lack first.

LUA = 5.4
PREFIX = /usr/local

.DEFAULT_GOAL := help
.PHONY: help setup build demo test spec asan tsan valgrind fuzz soak bench bench-peers clang lint format docs dist install clean

help:
	@sed -n 's/^#\( \|$$\)//p' Makefile
	@echo 'Others: build, spec, asan, tsan, valgrind, fuzz, soak, bench, clang, lint, format,'
	@echo '        bench-peers, docs, dist, install, clean.'

setup:
	@scripts/setup.sh dev

build:
	@scripts/setup.sh demo
	@scripts/build.sh build

demo:
	@scripts/demo.sh

# LUA=5.1, 5.3 or luajit runs the specs on that one, GC=1 with a collector that
# never rests, JOBS=1 one spec file after the other.
test:
	@scripts/test.sh $(LUA)

# One spec file: make spec FILE=spec/pty_spec.lua, several in quotes.
spec:
	@scripts/spec.sh $(LUA) $(FILE)

# Everything again under AddressSanitizer, LeakSanitizer and UBSan.
asan:
	@scripts/asan.sh

# What has threads under ThreadSanitizer: the relay, and the local server.
tsan:
	@scripts/tsan.sh

# The core's specs and the C unit tests under valgrind, which it takes.
valgrind:
	@scripts/valgrind.sh

# Every fuzzer for SECONDS; what they find is in build/fuzz/found.
SECONDS = 20
fuzz:
	@scripts/fuzz.sh $(SECONDS)

# Mixed load through a proxy that does harm, for MINUTES.
MINUTES = 10
soak:
	@scripts/soak.sh $(MINUTES)

# Ratios to bare C and curl on the same server, and a thousand capsules.
bench:
	@scripts/bench.sh

# The same rows beside Node, Python and Go.
bench-peers:
	@scripts/bench-peers.sh

# For its warnings, which are the same whether it optimizes or not.
clang:
	@scripts/setup.sh dev
	@CC=clang scripts/build.sh build/clang -DWRENN_WERROR=ON \
	  -DCMAKE_C_FLAGS_RELWITHDEBINFO=-DNDEBUG

lint:
	@scripts/lint.sh

format:
	@find src local spec examples bench -name '*.[ch]' \
	  -exec clang-format -i {} +

# The references and man pages in docs/, and all documents as build/docs/*.html.
docs:
	@lua5.4 scripts/docs/main.lua

# The source tarball of what is committed, its rockspec, and the HTML pages.
dist:
	@scripts/dist.sh

install: build
	@cmake --install build --prefix '$(PREFIX)'

clean:
	rm -rf build build.luarocks
