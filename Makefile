# SPDX-License-Identifier: GPL-2.0-only
# For people and CI. The kernel's build of the modules reads Kbuild.

KERNEL ?= 6.12
ifeq ($(origin KERNELS), undefined)
KERNELS := 6.12 6.1
check: KERNELS := 6.12 6.1 patched debug
endif
T ?=
export T

ifneq ($(words $(CURDIR)),1)
$(error make and the kernel's build cannot work in a path with a space: move this directory from $(CURDIR))
endif

help:
	@echo 'make demo                             see it work: stock Debian 6.12 in a VM, real traffic'
	@echo 'make check [KERNELS="6.12 6.1 patched debug"] [T=pattern]'
	@echo '                                      all tests, or those that match, on each kernel; there is debug-smp too'
	@echo 'make fuzz [KERNEL=6.12] [SECONDS=600] [SEED=n] [CONFIG=n [PACKET=n,...]]'
	@echo '                                      random packets through routers with and without XDP: do they do the same?'
	@echo 'make bench [BENCH="insn parts setup ns wall"]  what all of it costs, measured; build/bench.json and .svg'
	@echo 'make plant [KERNEL=6.12] [FAULT=name]  does that find the faults of selftests/faults/?'
	@echo 'make vm [KERNEL=6.12]                 a shell in the same VM'
	@echo 'make modules [KERNELS="6.12 6.1"]     the modules, in build/KERNEL/'
	@echo 'make tools                            the loader, build/flowmap, and the tests'\'' programs'
	@echo 'make style                            checkpatch, sparse, W=1, shellcheck'
	@echo 'make clean                            removes build/'

demo: KERNELS = 6.12
demo: modules tools
	@tools/demo

check: modules tools
	@tools/vm/check $(KERNELS)

SECONDS ?= 600
fuzz: KERNELS = $(KERNEL)
fuzz: modules tools
	@tools/vm/run --kernel $(KERNEL) --timeout $$(($(SECONDS) + 600)) --out build/vm/fuzz-$(KERNEL) -- selftests/fuzz.sh \
		-s $(or $(SEED),$(shell date +%s)) $(if $(CONFIG),-c $(CONFIG) -n 1,-t $(SECONDS)) $(if $(PACKET),-r $(PACKET))

bench: KERNELS = 6.12 patched native
bench: modules tools
	@tools/bench/all $(BENCH)

plant: deps
	@tools/vm/plant $(KERNEL) $(FAULT)

vm: KERNELS = $(KERNEL)
vm: modules tools
	@tools/vm/run --kernel $(KERNEL) --shell

modules: deps
	@for k in $(KERNELS); do tools/vm/modules $$k >/dev/null || exit 1; done

tools: deps
	@for m in tools/*/Makefile; do $(MAKE) -s -C $${m%/Makefile} || exit 1; done
	@mkdir -p build/selftests
	@$(MAKE) -s -C selftests OUTPUT=$(CURDIR)/build/selftests

style: deps
	@tools/vm/style $(KERNELS)

deps:
	@tools/vm/deps

clean:
	rm -rf build

.PHONY: help demo check bench fuzz plant vm modules tools style deps clean
.NOTPARALLEL:
