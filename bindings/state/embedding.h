/* embedding: what the host of an engine has asked for, as the rest of the bindings see it. An engine without one is the
 * runner's, or that of a plain lua5.4: it has the process to itself. */
#ifndef NEAP_BINDINGS_STATE_EMBEDDING_H
#define NEAP_BINDINGS_STATE_EMBEDDING_H

#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "bindings/neap.h"
#include "bindings/state/vm.h"
#include "host/engine.h"

struct neap_native_entry;

struct neap_embedding {
    struct neap_config config; /* constant */
    pthread_mutex_t sinks;     /* held while a sink of the config is called: one at a time */
    /* Functions of the host, the newest first; engine's guard, constant once threads run */
    struct neap_native_entry *natives;
};

/* 0, or what the system said. FINI: no thread uses it any more. */
int neap_embedding_init(struct neap_embedding *embedding, const struct neap_config *config);
void neap_embedding_fini(struct neap_embedding *embedding);

/* Does what scripts print go to the host, and not to stdout? */
static inline bool neap_embedding_takes_output(const struct neap_embedding *embedding) {
    return embedding != NULL && (embedding->config.on_output != NULL || !embedding->config.stdio);
}
/* Does what the engine has to say go to the host, and not to stderr? */
static inline bool neap_embedding_takes_reports(const struct neap_embedding *embedding) {
    return embedding != NULL && (embedding->config.on_log != NULL || !embedding->config.stdio);
}

/* Any thread of the engine. WRITE: what a script has printed. SAY: a report; a newline at its end is left out. FAILED:
 * nobody awaits it; false: the host has no function for that, and it is to be reported. */
void neap_embedding_write(struct neap_embedding *embedding, const char *bytes, size_t length);
void neap_embedding_say(struct neap_embedding *embedding, const char *text, size_t length);
bool neap_embedding_failed(struct neap_embedding *embedding, const struct neap_failure *failure);
/* For engine->on_output: what child processes print goes the way of what scripts print here,
 * and their errors that of reports. */
bool neap_embedding_take(struct neap_engine *engine, bool is_error, const char *bytes, size_t size);

#endif
