# neap: `make help` lists the targets.
#
# A flavour is one way to compile everything, in a folder of its own:
#   build/          the product: build/neap (the runner)
#   build/module/   the same, position independent, for build/neap.so
#   build/check/    assertions and failing allocations (NEAP_CHECK), for the unit tests
#   build/asan/     NEAP_CHECK under the address and undefined-behaviour sanitizers
#   build/tsan/     NEAP_CHECK under the thread sanitizer

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
STRESS_SECONDS ?= 60
LUA ?= lua5.4
ifeq ($(origin CC),default)
CC := gcc
endif

# --- what must be installed ---
# $(BUILD)/ready/<group> is made once the packages of that group are there; the one of `build` also says where they are.

needs_nothing := help clean format uninstall
ifneq ($(filter-out $(needs_nothing),$(or $(MAKECMDGOALS),build)),)
include $(BUILD)/ready/build
endif

$(BUILD)/ready/%: scripts/tools/depend.sh
	@sh scripts/tools/depend.sh $* $@

# --- flags ---

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
STANDARD := -std=c11 -D_GNU_SOURCE -pthread
CFLAGS ?= -O2 -g
CHECKED := -DNEAP_CHECK -O1 -g -fno-omit-frame-pointer

FLAGS_release := $(CFLAGS)
FLAGS_module := $(CFLAGS) -fPIC -ftls-model=initial-exec -fno-semantic-interposition
FLAGS_check := $(CHECKED)
FLAGS_asan := $(CHECKED) -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan := $(CHECKED) -fsanitize=thread -Wno-tsan

# The engine does not see Lua's headers. `call includes,source`.
includes = -Iengine $(if $(filter engine/%,$1),,-I. $(LUA_CFLAGS)) $(UV_CFLAGS)

# --- sources ---

ENGINE := $(wildcard engine/*/*.c)
BINDINGS := $(filter-out bindings/runner.c,$(wildcard bindings/*.c))
LUA_HALF := $(sort $(wildcard scripts/neap/*.lua))
UNIT := $(wildcard spec/unit/*_test.c)
UNIT_HELPERS := $(filter-out $(UNIT),$(wildcard spec/unit/*.c))
BENCH := $(filter-out scripts/bench/empty_method.c,$(wildcard scripts/bench/*.c))

# The Lua half travels inside the binary. The folder is a prerequisite so that a file taken away is noticed.
$(BUILD)/gen/embedded.c: scripts/tools/embed.lua $(LUA_HALF) $(wildcard scripts/neap)
	@mkdir -p $(@D)
	$(LUA) scripts/tools/embed.lua $(LUA_HALF) > $@

# --- one flavour: $(call flavour,name,folder) ---

define flavour
objects_$(1) = $$(patsubst %.c,$(2)/obj/%.o,$$(1))
compile_$(1) = $$(CC) $$(STANDARD) $$(WARNINGS) $$(FLAGS_$(1)) $$(CPPFLAGS) $$(call includes,$$<) -MMD -MP -c $$< -o $$@

$(2)/obj/%.o: %.c
	@mkdir -p $$(@D)
	$$(compile_$(1))

$(2)/obj/embedded.o: $(BUILD)/gen/embedded.c
	@mkdir -p $$(@D)
	$$(compile_$(1))

$(2)/libneap-engine.a: $$(call objects_$(1),$$(ENGINE))
	@rm -f $$@
	$$(AR) rcs $$@ $$^

$(2)/libneap-bindings.a: $$(call objects_$(1),$$(BINDINGS)) $(2)/obj/embedded.o
	@rm -f $$@
	$$(AR) rcs $$@ $$^

# All of Lua is linked in and exported: modules in C look for it in the program.
$(2)/neap: $$(call objects_$(1),bindings/runner.c) $(2)/libneap-bindings.a $(2)/libneap-engine.a
	$$(CC) $$(FLAGS_$(1)) -pthread $$(LDFLAGS) -Wl,-E -o $$@ $$^ \
	  -Wl,--whole-archive $$(LUA_STATIC) -Wl,--no-whole-archive $$(UV_$(1)) -lm -ldl

$(2)/unit/%: $(2)/obj/spec/unit/%.o $$(call objects_$(1),$$(UNIT_HELPERS)) $(2)/libneap-engine.a
	@mkdir -p $$(@D)
	$$(CC) $$(FLAGS_$(1)) -pthread $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LUA_STATIC) $$(UV_$(1)) -lm -ldl

unit_$(1) := $$(patsubst spec/unit/%.c,$(2)/unit/%,$$(UNIT))
.SECONDARY: $$(call objects_$(1),$$(ENGINE) $$(BINDINGS) $$(UNIT) $$(UNIT_HELPERS))
-include $$(patsubst %.o,%.d,$$(call objects_$(1),$$(ENGINE) $$(BINDINGS) bindings/runner.c $$(UNIT) $$(UNIT_HELPERS)))
endef

# The thread sanitizer's suppressions name the shared libuv, so that flavour has it.
UV_release = $(UV_STATIC)
UV_check = $(UV_STATIC)
UV_asan = $(UV_STATIC)
UV_tsan = $(UV_SHARED)

$(eval $(call flavour,release,$(BUILD)))
$(eval $(call flavour,module,$(BUILD)/module))
$(eval $(call flavour,check,$(BUILD)/check))
$(eval $(call flavour,asan,$(BUILD)/asan))
$(eval $(call flavour,tsan,$(BUILD)/tsan))

$(BUILD)/neap.so: $(call objects_module,$(BINDINGS) $(ENGINE)) $(BUILD)/module/obj/embedded.o
	$(CC) $(FLAGS_module) -pthread $(LDFLAGS) -shared -Wl,-Bsymbolic -o $@ $^ $(UV_SHARED)

# --- targets ---

.PHONY: build demo test unit spec lint format asan tsan stress bench install uninstall clean help

build: $(BUILD)/neap $(BUILD)/neap.so                     ## the runner and the module (the default)

demo: build                                         ## count words, on one thread and on all cores
	$(BUILD)/neap scripts/examples/wordcount.lua

clean:                                              ## remove all that was built
	rm -rf $(BUILD)

help:                                               ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'
