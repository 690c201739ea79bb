#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

struct told told;
struct neap_config config;
struct neap_engine *engine;
static long live;

/* Blocks that are allocated; 0 where nobody counts. */
static long count_blocks(void) {
#ifdef NEAP_CHECK
    return neap_memory_live();
#else
    return 0;
#endif
}

void fail_check(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    abort();
}

/* What does not fit is left out. */
static void add(char *text, const char *bytes, size_t length) {
    size_t used = strlen(text);
    if (used + length + 2 >= TEXT_MAX) return;
    memcpy(text + used, bytes, length);
    text[used + length] = '\0';
}

static void on_output(void *context, const char *bytes, size_t length) {
    (void)context;
    add(told.output, bytes, length);
}

static void on_log(void *context, const char *text, size_t length) {
    (void)context;
    add(told.log, text, length);
    add(told.log, "\n", 1);
}

static void on_error(void *context, const struct neap_failure *failure) {
    (void)context;
    told.failed++;
    add(told.failures, failure->who, strlen(failure->who));
    add(told.failures, ": ", 2);
    add(told.failures, failure->message, strlen(failure->message));
    add(told.failures, "\n", 1);
}

int make_engine(void (*adjust)(struct neap_config *config)) {
    memset(&told, 0, sizeof told);
    live = count_blocks();
    neap_config_init(&config);
    config.context = &told;
    config.on_output = on_output;
    config.on_log = on_log;
    config.on_error = on_error;
    if (adjust != NULL) adjust(&config);
    return neap_engine_new(&config, &engine);
}

int drop_engine(void) {
    int code = neap_engine_free(engine);
    engine = NULL;
    if (code != 0) {
        fprintf(stderr, "neap_engine_free: %s\n", neap_error_name(code));
        return -1;
    }
    if (count_blocks() != live) {
        fprintf(stderr, "leaked: %ld blocks\n", count_blocks() - live);
        return -1;
    }
    return 0;
}

neap_function load(const char *text) {
    neap_function function = 0;
    int code = neap_engine_load_string(engine, text, &function);
    if (code != 0) fprintf(stderr, "%s\n", neap_engine_message(engine));
    CHECK(code == 0);
    return function;
}

void run(const char *text, int expected) {
    int code = neap_engine_run_string(engine, text);
    if (code != expected) fprintf(stderr, "%s: %s\n", neap_error_name(code), neap_engine_message(engine));
    CHECK(code == expected);
}
