/* support: what tests of hosts share: an engine whose sinks are written down, and checks for any thread. */
#ifndef NEAP_SPEC_HOST_SUPPORT_H
#define NEAP_SPEC_HOST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bindings/neap.h"

enum { TEXT_MAX = 65536 };

/* What the sinks of `config` have been told since make_engine. */
extern struct told {
    char output[TEXT_MAX], log[TEXT_MAX], failures[TEXT_MAX];
    int failed; /* calls of on_error */
} told;

extern struct neap_config config; /* that the engine was made with; for more of them */
extern struct neap_engine *engine;

/* Makes `engine`, after `adjust`, which may be NULL, has changed the config. 0 or a code. */
int make_engine(void (*adjust)(struct neap_config *config));
/* Frees it; -1 when that failed, or blocks were leaked. */
int drop_engine(void);

/* As assert_true, for any thread. */
#define CHECK(condition) ((condition) ? (void)0 : fail_check(__FILE__, __LINE__, #condition))
_Noreturn void fail_check(const char *file, int line, const char *text);

/* The function of that text. On the engine's thread. */
neap_function load(const char *text);
/* Runs it; the code must be `expected`, else the message is shown. */
void run(const char *text, int expected);

#endif
