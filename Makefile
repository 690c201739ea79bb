# neap: `make help` lists the targets.
#
# A flavour is one way to compile everything, in a folder of its own:
#   build/          the product: build/neap (the runner)
#   build/module/   the same, position independent, for build/neap.so and the libraries for hosts: build/libneap.so, libneap.a
#   build/check/    assertions and failing allocations (NEAP_CHECK), for the unit tests
#   build/asan/     NEAP_CHECK under the address and undefined-behaviour sanitizers
#   build/tsan/     NEAP_CHECK under the thread sanitizer
#   build/fuzz/     as asan, by clang, for its fuzzer

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
STRESS_SECONDS ?= 60
STRESS_TIMES ?= 10
FUZZ_SECONDS ?= 60
LUA ?= lua5.4
ifeq ($(origin CC),default)
CC := gcc
endif

# Commands are shown in short; V=1 shows them whole.
show = $(if $(V),,@printf '  %-5s %s\n' '$1' '$2';)

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
CFLAGS ?= -O3 -g
CHECKED := -DNEAP_CHECK -O1 -g -fno-omit-frame-pointer

FLAGS_release := $(CFLAGS)
FLAGS_module := $(CFLAGS) -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-semantic-interposition
FLAGS_check := $(CHECKED)
FLAGS_asan := $(CHECKED) -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan := $(CHECKED) -fsanitize=thread -Wno-tsan
FLAGS_fuzz := $(CHECKED) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -Wno-sign-conversion

# The engine does not see Lua's headers. `call includes,source`.
includes = -Iengine $(if $(filter engine/%,$1),,-I. $(LUA_CFLAGS)) $(UV_CFLAGS)

# --- sources ---

ENGINE := $(wildcard engine/*/*.c)
BINDINGS := $(filter-out bindings/program/runner.c,$(wildcard bindings/*.c bindings/*/*.c))
LUA_HALF := $(sort $(wildcard scripts/neap/*.lua scripts/prompt/*.lua bindings/types/*.lua))
UNIT := $(wildcard spec/unit/*_test.c)
FUZZ := $(wildcard spec/fuzz/*_fuzz.c)
UNIT_HELPERS := $(filter-out $(UNIT),$(wildcard spec/unit/*.c))
HOST := $(wildcard spec/host/*_test.c)
HOST_HELPERS := $(filter-out $(HOST),$(wildcard spec/host/*.c))
EXAMPLE_HOSTS := $(wildcard scripts/examples/hosts/*.c scripts/examples/hosts/*.cpp)
SPECS := $(sort $(wildcard spec/*_spec.lua))
# What one thread does by itself, or other programs do: the thread sanitizer has little to see there, so a bounded run
# of it leaves these out.
ALONE := argument coroutine examples http_client http_client_body http_client_failure http_server http_server_body \
  http_server_failure install net patch_io patch_socket program progress prompt readme stdin terminal tls values
SHARED_SPECS := $(filter-out $(ALONE:%=spec/%_spec.lua),$(SPECS))
TSAN_SPECS ?= $(SPECS)
# Those that trial.it_races marks are among them.
STRESS_SPECS := $(shell grep -lE '\#stress|it_races' /dev/null $(SPECS))
STRESS := $(sort $(wildcard spec/stress/*.lua))

# The Lua half, the prompt and the reference travel inside the binary. The folders are prerequisites so that a file taken away
# is noticed.
$(BUILD)/gen/embedded.c: scripts/tools/embed.lua $(LUA_HALF) scripts/neap scripts/prompt bindings/types
	@mkdir -p $(@D)
	$(call show,EMBED,$@)$(LUA) scripts/tools/embed.lua $(LUA_HALF) > $@

# The header by itself, as hosts see it after `make install`.
$(BUILD)/include/neap.h: bindings/neap.h
	@mkdir -p $(@D)
	@cp $< $@

# --- one flavour: $(call flavour,name,folder) ---

define flavour
CC_$(1) ?= $$(CC)
UV_$(1) ?= $$(UV_STATIC)
objects_$(1) = $$(patsubst %.c,$(2)/obj/%.o,$$(1))
compile_$(1) = $$(CC_$(1)) $$(STANDARD) $$(WARNINGS) $$(FLAGS_$(1)) $$(CPPFLAGS) $$(call includes,$$<) -MMD -MP -c $$< -o $$@

$(2)/obj/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(call show,CC,$$@)$$(compile_$(1))

$(2)/obj/embedded.o: $(BUILD)/gen/embedded.c Makefile
	@mkdir -p $$(@D)
	$$(call show,CC,$$@)$$(compile_$(1))

$(2)/libneap-engine.a: $$(call objects_$(1),$$(ENGINE))
	@rm -f $$@
	$$(call show,AR,$$@)$$(AR) rcs $$@ $$^

$(2)/libneap-bindings.a: $$(call objects_$(1),$$(BINDINGS)) $(2)/obj/embedded.o
	@rm -f $$@
	$$(call show,AR,$$@)$$(AR) rcs $$@ $$^

# All of Lua is linked in and exported: modules in C look for it in the program. Symbols are bound when it starts (a nursery),
# not by each of its copies again.
$(2)/neap: $$(call objects_$(1),bindings/program/runner.c $$(MORE_$(1))) $(2)/libneap-bindings.a $(2)/libneap-engine.a
	$$(call show,LINK,$$@)$$(CC_$(1)) $$(FLAGS_$(1)) -pthread $$(LDFLAGS) $$(LINK_$(1)) -Wl,-E,-z,relro,-z,now -o $$@ $$^ \
	  -Wl,--whole-archive $$(LUA_STATIC) -Wl,--no-whole-archive $$(UV_$(1)) $(HTTP_PARSER) -lm -ldl

$(2)/unit/%: $(2)/obj/spec/unit/%.o $$(call objects_$(1),$$(UNIT_HELPERS)) $(2)/libneap-engine.a
	@mkdir -p $$(@D)
	$$(call show,LINK,$$@)$$(CC_$(1)) $$(FLAGS_$(1)) -pthread $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LUA_STATIC) $$(UV_$(1)) $(HTTP_PARSER) -lm -ldl

# Programs that use the library as a host does.
$(2)/host/%: $(2)/obj/spec/host/%.o $$(call objects_$(1),$$(HOST_HELPERS) $$(MORE_$(1))) $(2)/libneap-bindings.a $(2)/libneap-engine.a
	@mkdir -p $$(@D)
	$$(call show,LINK,$$@)$$(CC_$(1)) $$(FLAGS_$(1)) -pthread $$(LDFLAGS) $$(LINK_$(1)) -Wl,-E -o $$@ $$^ -lcmocka \
	  -Wl,--whole-archive $$(LUA_STATIC) -Wl,--no-whole-archive $$(UV_$(1)) $(HTTP_PARSER) -lm -ldl

# The example hosts.
$(2)/hosts/%: scripts/examples/hosts/%.c $(BUILD)/include/neap.h $$(call objects_$(1),$$(MORE_$(1))) $(2)/libneap-bindings.a $(2)/libneap-engine.a
	@mkdir -p $$(@D)
	$$(call show,LINK,$$@)$$(CC_$(1)) $$(STANDARD) $$(WARNINGS) $$(FLAGS_$(1)) -I$(BUILD)/include -pthread $$(LDFLAGS) $$(LINK_$(1)) -Wl,-E \
	  -o $$@ $$(filter-out %.h,$$^) -Wl,--whole-archive $$(LUA_STATIC) -Wl,--no-whole-archive $$(UV_$(1)) $(HTTP_PARSER) -lm -ldl

$(2)/hosts/%: scripts/examples/hosts/%.cpp $(BUILD)/include/neap.h $$(call objects_$(1),$$(MORE_$(1))) $(2)/libneap-bindings.a $(2)/libneap-engine.a
	@mkdir -p $$(@D)
	$$(call show,LINK,$$@)$$(CXX) -std=c++17 -Wall -Wextra -Wpedantic $$(FLAGS_$(1)) -I$(BUILD)/include -pthread $$(LDFLAGS) $$(LINK_$(1)) \
	  -Wl,-E -o $$@ $$(filter-out %.h,$$^) -Wl,--whole-archive $$(LUA_STATIC) -Wl,--no-whole-archive $$(UV_$(1)) $(HTTP_PARSER) -lm -ldl

hosts_$(1) := $$(patsubst scripts/examples/hosts/%,$(2)/hosts/%,$$(basename $$(EXAMPLE_HOSTS)))
$$(hosts_$(1)): | $(BUILD)/ready/test

unit_$(1) := $$(patsubst spec/unit/%.c,$(2)/unit/%,$$(UNIT)) $$(patsubst spec/host/%.c,$(2)/host/%,$$(HOST))
$$(call objects_$(1),$$(UNIT) $$(UNIT_HELPERS) $$(HOST) $$(HOST_HELPERS)): | $(BUILD)/ready/test
.SECONDARY: $$(call objects_$(1),$$(ENGINE) $$(BINDINGS) $$(UNIT) $$(UNIT_HELPERS) $$(HOST) $$(HOST_HELPERS))
-include $$(patsubst %.o,%.d,$$(call objects_$(1),$$(ENGINE) $$(BINDINGS) bindings/program/runner.c $$(UNIT) $$(UNIT_HELPERS) $$(HOST) $$(HOST_HELPERS)))
endef

CC_fuzz := clang
# The thread sanitizer's suppressions name the shared libuv. For the rest see spec/tsan.c.
UV_tsan = $(UV_SHARED)
MORE_tsan := spec/tsan.c
LINK_tsan := -Wl,--wrap=__longjmp_chk -Wl,--wrap=neap_futex_wait

$(eval $(call flavour,release,$(BUILD)))
$(eval $(call flavour,module,$(BUILD)/module))
$(eval $(call flavour,check,$(BUILD)/check))
$(eval $(call flavour,asan,$(BUILD)/asan))
$(eval $(call flavour,tsan,$(BUILD)/tsan))
$(eval $(call flavour,fuzz,$(BUILD)/fuzz))

$(BUILD)/neap.so: $(call objects_module,$(BINDINGS) $(ENGINE)) $(BUILD)/module/obj/embedded.o
	$(call show,LINK,$@)$(CC) $(FLAGS_module) -pthread $(LDFLAGS) -shared -Wl,-Bsymbolic,-z,nodelete -o $@ $^ $(UV_SHARED) $(HTTP_PARSER)

# What hosts link with. Only what neap.h declares is to be seen: in the archive the rest is made local, so that it clashes with nothing.
SONAME := libneap.so.0
VERSION := $(shell sed -n 's/^\#define NEAP_VERSION "\(.*\)"/\1/p' bindings/version.h)
library := $(call objects_module,$(BINDINGS) $(ENGINE)) $(BUILD)/module/obj/embedded.o

$(BUILD)/libneap.so: $(library) bindings/libneap.map
	$(call show,LINK,$@)$(CC) $(FLAGS_module) -pthread $(LDFLAGS) -shared -Wl,-soname,$(SONAME) \
	  -Wl,--version-script=bindings/libneap.map -Wl,-Bsymbolic,-z,nodelete,-z,defs -o $@ $(library) $(LUA_SHARED) $(UV_SHARED) $(HTTP_PARSER) -lm -ldl

$(BUILD)/libneap.a: $(library)
	@rm -f $@
	$(call show,AR,$@)$(CC) -r -nostdlib -o $(BUILD)/module/libneap.o $^ $(HTTP_PARSER) && \
	  objcopy --localize-hidden --wildcard --localize-symbol='http_*' $(BUILD)/module/libneap.o && \
	  $(AR) rcs $@ $(BUILD)/module/libneap.o

FUZZERS := $(FUZZ:spec/%.c=$(BUILD)/%)
$(call objects_fuzz,$(ENGINE) $(BINDINGS) $(FUZZ)) $(BUILD)/fuzz/obj/embedded.o: | $(BUILD)/ready/fuzz
$(BUILD)/fuzz/%_fuzz: $(BUILD)/fuzz/obj/spec/fuzz/%_fuzz.o $(BUILD)/fuzz/libneap-bindings.a $(BUILD)/fuzz/libneap-engine.a
	$(call show,LINK,$@)$(CC_fuzz) $(FLAGS_fuzz) -fsanitize=fuzzer -pthread $(LDFLAGS) -o $@ $^ \
	  $(LUA_STATIC) $(UV_STATIC) $(HTTP_PARSER) -lm -ldl

# --- targets ---

.PHONY: build demo demo-wordcount test unit spec lint format asan tsan stress fuzz bench install uninstall clean help

build: $(BUILD)/neap $(BUILD)/neap.so $(BUILD)/libneap.so $(BUILD)/libneap.a  ## build the runner, the module and the libraries (the default)

demo: build  ## download pictures: one by one, with tasks, with threads, with processes
	$(BUILD)/neap scripts/examples/download.lua

demo-wordcount: build
	$(BUILD)/neap scripts/examples/wordcount.lua

# scripts/tools/test.lua runs each program and each spec under a time limit and ends with 'N passed, N failed'.
run_tests = $(LUA) scripts/tools/test.lua modules=$(BUILD) logs=$(BUILD)/logs

# What misuse gets is a code in the product, too.
misuse := $(BUILD)/host/misuse_test

test: build $(unit_check) $(misuse) $(hosts_release) | $(BUILD)/ready/test  ## run unit tests and specs, on the runner and on a stock lua5.4
	@$(run_tests) exclude=stress runner=$(BUILD)/neap $(unit_check:%=unit=%) unit=$(misuse) \
	  spec=$(LUA) spec=$(BUILD)/neap $(SPECS:%=file=%)

unit: $(unit_check) $(misuse) | $(BUILD)/ready/test  ## run the unit tests of the engine
	@$(run_tests) $(unit_check:%=unit=%) unit=$(misuse)

spec: build $(hosts_release) | $(BUILD)/ready/test  ## run the specs
	@$(run_tests) exclude=stress runner=$(BUILD)/neap spec=$(LUA) spec=$(BUILD)/neap $(SPECS:%=file=%)

asan: build $(BUILD)/asan/neap $(unit_asan) $(hosts_asan) | $(BUILD)/ready/test  ## run all tests under the address and UB sanitizers
	@ASAN_OPTIONS=detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1 \
	$(run_tests)/asan limit=900 exclude=stress runner=$(BUILD)/asan/neap $(unit_asan:%=unit=%) \
	  spec=$(BUILD)/asan/neap $(SPECS:%=file=%)

# The sanitizer holds signals back, so what preempts is left out. Its memory layout wants addresses that are not random.
tsan: build $(BUILD)/tsan/neap $(unit_tsan) $(hosts_tsan) | $(BUILD)/ready/test  ## run all tests under the thread sanitizer
	@TSAN_OPTIONS="suppressions=$(CURDIR)/spec/tsan.supp" $$(setarch -R true 2>/dev/null && echo setarch -R) \
	$(run_tests)/tsan limit=900 exclude=stress,preempt runner=$(BUILD)/tsan/neap $(unit_tsan:%=unit=%) \
	  spec=$(BUILD)/tsan/neap $(TSAN_SPECS:%=file=%)

# STRESS_TIMES multiplies the repetitions of what races; all of it is repeated, with new seeds, until the time is over.
stress: build $(BUILD)/check/neap $(unit_check) | $(BUILD)/ready/test  ## repeat what races, for STRESS_SECONDS (60)
	@NEAP_STRESS=$(STRESS_TIMES) STRESS_SECONDS=$(STRESS_SECONDS) \
	$(run_tests)/stress limit=900 seconds=$(STRESS_SECONDS) tags=stress runner=$(BUILD)/neap $(unit_check:%=unit=%) \
	  spec=$(BUILD)/neap spec=$(BUILD)/check/neap $(STRESS_SPECS:%=file=%) $(STRESS:%=script=%)

fuzz: $(FUZZERS)  ## feed the decoder what nobody sent, for FUZZ_SECONDS (60)
	@sh scripts/tools/fuzz.sh $(FUZZ_SECONDS) $(BUILD)/fuzz/corpus $(FUZZERS)

bench: build | $(BUILD)/ready/bench  ## measure against yardsticks in the same run, print one table (ROWS="spawn lock": these)
	$(BUILD)/neap scripts/bench/run.lua $(ROWS)

# --- lint: each check on its own, so that `make -k lint` shows what all of them say ---

C_FILES := $(wildcard engine/*/*.[ch] bindings/*.[ch] bindings/*/*.[ch] spec/*.[ch] spec/unit/*.[ch] spec/host/*.[ch] scripts/examples/hosts/*.c* spec/fuzz/*.[ch] \
  scripts/bench/*.[ch] scripts/bench/*/*.[ch])
TIDIED := $(ENGINE) $(wildcard bindings/*.c bindings/*/*.c)
LINTS := lint-format lint-tidy lint-cppcheck lint-lua lint-layers lint-words lint-types
.PHONY: $(LINTS)

lint: $(LINTS)  ## check format, layers, types and words; clang-tidy, cppcheck, luacheck

lint-format: | $(BUILD)/ready/lint
	@clang-format --dry-run -Werror $(C_FILES)
	@! grep -nE '^.{121,}' $(C_FILES)  # comments are laid out by hand

# Lua does not declare that these never return; the analyzer is told. (gcc sees to signs; clang calls every enum unsigned.)
NEVER_RETURN := lua_error luaL_error luaL_argerror luaL_typeerror
TIDY_FLAGS = $(STANDARD) $(WARNINGS) -Wno-sign-conversion -Wno-unused-value -DNEAP_CHECK -Iengine -I. $(LUA_CFLAGS) \
  $(foreach f,$(NEVER_RETURN),"-D$f(...)=($f(__VA_ARGS__),__builtin_unreachable(),0)")

lint-tidy: | $(BUILD)/ready/lint
	@printf '%s\n' $(TIDIED) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- $(TIDY_FLAGS) 2>/dev/null' tidy

lint-cppcheck: | $(BUILD)/ready/lint
	cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr \
	  --enable=warning,performance,portability -j 2 -DNEAP_CHECK -Iengine -I. engine bindings

lint-lua: | $(BUILD)/ready/lint
	luacheck --quiet scripts spec bindings/types

lint-layers:
	$(LUA) scripts/tools/check_layers.lua

lint-words:
	$(LUA) scripts/tools/check_words.lua

lint-types: $(BUILD)/neap
	$(BUILD)/neap scripts/tools/check_types.lua

format: | $(BUILD)/ready/lint  ## lay the C files out as .clang-format says
	clang-format -i $(C_FILES)

# --- installing ---

bin := $(DESTDIR)$(PREFIX)/bin
lib := $(DESTDIR)$(PREFIX)/lib
include := $(DESTDIR)$(PREFIX)/include
share := $(DESTDIR)$(PREFIX)/share/neap
doc := $(DESTDIR)$(PREFIX)/share/doc/neap
man := $(DESTDIR)$(PREFIX)/share/man/man1

install: build  ## install below PREFIX (/usr/local), or below DESTDIR for packaging
	install -D -m 755 $(BUILD)/neap $(bin)/neap
	install -D -m 644 $(BUILD)/neap.so $(lib)/lua/5.4/neap.so
	install -D -m 644 $(BUILD)/libneap.a $(lib)/libneap.a
	install -D -m 755 $(BUILD)/libneap.so $(lib)/libneap.so.$(VERSION)
	ln -sf libneap.so.$(VERSION) $(lib)/$(SONAME)
	ln -sf $(SONAME) $(lib)/libneap.so
	install -D -m 644 bindings/neap.h $(include)/neap.h
	install -d $(lib)/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' bindings/neap.pc.in > $(lib)/pkgconfig/neap.pc
	chmod 644 $(lib)/pkgconfig/neap.pc
	install -D -m 644 bindings/neap.1 $(man)/neap.1
	install -d $(share)/types $(doc)/decisions $(doc)/examples/hosts
	install -m 644 bindings/types/*.lua $(share)/types
	install -m 644 README.md CHANGELOG.md LICENSE engine/ARCHITECTURE.md $(doc)
	install -m 644 engine/decisions/*.md $(doc)/decisions
	install -m 644 scripts/examples/*.lua $(doc)/examples
	install -m 644 $(EXAMPLE_HOSTS) $(doc)/examples/hosts

uninstall:  ## take away what install put there
	rm -f $(bin)/neap $(lib)/lua/5.4/neap.so $(lib)/libneap.a $(lib)/libneap.so $(lib)/$(SONAME) \
	  $(lib)/libneap.so.$(VERSION) $(lib)/pkgconfig/neap.pc $(include)/neap.h $(man)/neap.1
	rm -rf $(share) $(doc)

clean:  ## remove all that was built
	rm -rf $(BUILD)

help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'
