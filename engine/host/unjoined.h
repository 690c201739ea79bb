/* unjoined: failures of tasks, threads and processes that somebody waited for, and that nobody has joined yet: they
 * make the exit status 1, so at the end they are told. */
#ifndef NEAP_HOST_UNJOINED_H
#define NEAP_HOST_UNJOINED_H

#include <stdint.h>

#include "core/list.h"

struct neap_engine;

enum { NEAP_UNJOINED_MAX = 20 }; /* so many are kept at a time */

struct neap_unjoined {
    struct neap_list node; /* in engine->unjoined */
    uint64_t id;           /* of the task, thread or process; constant */
    char *text;            /* to be told, terminated; owned, constant */
};

/* Any thread, no guard held. The text is copied; beyond the most, and without memory, it is not kept. Who adds looks
 * afterwards whether it has been seen already, and removes it then. */
void neap_unjoined_add(struct neap_engine *engine, uint64_t id, const char *text);
/* Somebody has seen how `id` ended. */
void neap_unjoined_remove(struct neap_engine *engine, uint64_t id);
/* The oldest, taken out, for neap_unjoined_free; NULL: none is left. */
struct neap_unjoined *neap_unjoined_next(struct neap_engine *engine);
void neap_unjoined_free(struct neap_unjoined *unjoined);

#endif
