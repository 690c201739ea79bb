/* guest: a loop that lives in the libuv loop of its host. The essay is in guest.c. */
#ifndef NEAP_CORE_GUEST_H
#define NEAP_CORE_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct neap_guest;
struct neap_loop;

/* Own thread, before neap_loop_uv: `loop` turns whenever `uv`, which is its host's, does. `after` is called after each
 * turn; it says whether the host's loop is to be kept alive. 0, NEAP_NOMEM, or what libuv said. */
int neap_guest_open(struct neap_loop *loop, uv_loop_t *uv, bool (*after)(struct neap_loop *loop));
/* By neap_loop_fini: takes its handles out; they are gone when the host's loop has turned once more. */
void neap_guest_close(struct neap_loop *loop);

/* Own thread, outside of the loop: something was queued: the host's loop will turn it. */
void neap_guest_touch(struct neap_loop *loop);

/* --- for loop.c --- */

/* Waits in the host's loop. */
void neap_guest_sleep(struct neap_loop *loop, int64_t deadline);
/* Does the host's loop call us just now, so that it cannot be turned? */
bool neap_guest_is_inside(const struct neap_loop *loop);

#endif
