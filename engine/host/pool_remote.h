/* pool_remote: what other processes ask of a pool. Waits on it, as for work, are those of pool.h. */
#ifndef NEAP_HOST_POOL_REMOTE_H
#define NEAP_HOST_POOL_REMOTE_H

#include <stdint.h>

#include "core/remote.h"
#include "host/pool.h"

/* Calls of other processes.
 * FINISH, BREAK, FAIL   as the functions; number: id, or flags; message: a packed outcome,
 *                       or the call and then the work
 * STATE                 number: 1 closed, 2 ended, 4 broken; message: its name
 * STATS                 message: the bytes of a neap_pool_stats */
enum neap_pool_call {
    NEAP_POOL_CLOSE,
    NEAP_POOL_HASTEN,
    NEAP_POOL_TERMINATE,
    NEAP_POOL_FINISH,
    NEAP_POOL_BREAK,
    NEAP_POOL_FAIL,
    NEAP_POOL_STATE,
    NEAP_POOL_STATS
};
enum { NEAP_POOL_IS_CLOSED = 1, NEAP_POOL_HAS_ENDED = 2, NEAP_POOL_IS_BROKEN = 4 };

/* For FINISH and BREAK: `outcome`, which may be NULL, is empty afterwards. 0; or NEAP_NOMEM, and it is as it was. */
int neap_pool_pack_outcome(struct neap_message *message, enum neap_future_state state, struct neap_outcome *outcome);

/* For constants: what numbers[1] of a proxy says. */
static inline uint32_t neap_pool_workers_of(int64_t number) { return (uint32_t)(number >> 8); }
static inline enum neap_pool_kind neap_pool_kind_of(int64_t number) { return (enum neap_pool_kind)(number & 0xff); }

extern const struct neap_remote neap_pool_remote;

#endif
