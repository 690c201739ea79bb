/* asking: what workers are asked about work that they run. The essay is in asking.c. */
#ifndef NEAP_HOST_ASKING_H
#define NEAP_HOST_ASKING_H

#include <stdbool.h>

#include "host/work.h"

struct neap_batch;
struct neap_link;
struct neap_message;
struct neap_pool;

/* --- the pool's guard held --- */

/* Asks about `work`, which runs; `reason` is taken over when true. False: as much has been asked already. */
bool neap_asking_ask(struct neap_pool *pool, struct neap_work *work, enum neap_work_request request,
                     struct neap_message *reason, struct neap_batch *batch);

/* NEAP_POOL_LISTEN, as attempt. */
bool neap_asking_hear(struct neap_pool *pool, struct neap_link *link);

/* --- no guard held --- */

/* Who is to keep a promise has been asked to stop: the task learns of it in its own way. */
void neap_asking_cancel_promised(struct neap_work *work);

#endif
