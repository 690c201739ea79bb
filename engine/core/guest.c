/* guest: a loop in its host's libuv loop.
 *
 * MODEL      The host turns its loop; ours takes a turn in it when the alarm (somebody posts), the bell (a deadline) or
 *            the look before each poll finds something to do. Between turns our mailbox is retired, so that whoever
 *            posts rings the alarm, as for a loop that sleeps. What is left over after a turn rings it too: the host's
 *            other handles get their turn in between.
 * INSIDE     While the host's loop calls us it must not be turned. Where our loop itself has to wait (the engine is
 *            being freed) nobody calls us, and it turns the host's loop; then our handles only end that wait.
 * LIFETIME   libuv lets go of a handle one turn after it was closed, when our loop is gone already. So the handles have
 *            a record of their own, freed by the last of them. */
#include "core/guest.h"

#include <stddef.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/memory.h"

struct neap_guest {
    struct neap_loop *loop; /* NULL once it is closed */
    bool (*after)(struct neap_loop *loop);
    bool inside;   /* see INSIDE */
    unsigned open; /* handles that libuv has not let go of */
    uv_async_t alarm;
    uv_timer_t bell;
    uv_prepare_t look;
};

static void on_bell(uv_timer_t *bell);

/* Rings the bell at the next deadline, or the alarm at once. */
static void set_bell(struct neap_guest *guest) {
    int64_t next = neap_loop_next(guest->loop);
    if (next == 0) {
        uv_async_send(&guest->alarm);
    } else if (next == NEAP_FOREVER) {
        uv_timer_stop(&guest->bell);
    } else {
        int64_t wait_ns = next - neap_clock_now();
        uint64_t wait_ms = wait_ns <= 0 ? 0 : (uint64_t)((wait_ns + NEAP_MILLISECOND - 1) / NEAP_MILLISECOND);
        uv_update_time(guest->alarm.loop);
        uv_timer_start(&guest->bell, on_bell, wait_ms, 0);
    }
}

static void keep_alive(struct neap_guest *guest) {
    if (guest->after(guest->loop))
        uv_ref((uv_handle_t *)&guest->alarm);
    else
        uv_unref((uv_handle_t *)&guest->alarm);
}

static void take_turn(struct neap_guest *guest) {
    struct neap_loop *loop = guest->loop;
    if (loop == NULL || neap_loop_here == loop) return; /* see INSIDE */
    guest->inside = true;
    neap_loop_step(loop);
    guest->inside = false;
    keep_alive(guest);
    set_bell(guest);
}

static void on_alarm(uv_async_t *alarm) { take_turn(alarm->data); }

static void on_bell(uv_timer_t *bell) { take_turn(bell->data); }

static void on_look(uv_prepare_t *look) {
    struct neap_guest *guest = look->data;
    if (guest->loop == NULL) return;
    if (neap_loop_here ==
        guest->loop) { /* see INSIDE: it waits for what has been made ready, or true, on the way here, perhaps */
        if (neap_loop_has_ready(guest->loop) || neap_loop_is_done(guest->loop)) uv_stop(look->loop);
        return;
    }
    int64_t next = neap_loop_next(guest->loop);
    if (next == 0 || (next != NEAP_FOREVER && next <= neap_clock_now())) take_turn(guest);
}

int neap_guest_open(struct neap_loop *loop, uv_loop_t *uv, bool (*after)(struct neap_loop *loop)) {
    struct neap_guest *guest = neap_alloc_zeroed(sizeof *guest);
    if (guest == NULL) return NEAP_NOMEM;
    int code = uv_async_init(uv, &guest->alarm, on_alarm);
    if (code != 0) {
        neap_free(guest);
        return code;
    }
    uv_timer_init(uv, &guest->bell);
    uv_prepare_init(uv, &guest->look);
    guest->loop = loop;
    guest->after = after;
    guest->open = 3;
    guest->alarm.data = guest->bell.data = guest->look.data = guest;
    uv_prepare_start(&guest->look, on_look);
    uv_unref((uv_handle_t *)&guest->alarm);
    uv_unref((uv_handle_t *)&guest->bell);
    uv_unref((uv_handle_t *)&guest->look);
    loop->guest = guest;
    loop->uv = uv;
    neap_mailbox_set_alarm(loop->mailbox, &guest->alarm);
    if (neap_loop_rest(loop)) uv_async_send(&guest->alarm);
    return 0;
}

static void on_close(uv_handle_t *handle) {
    struct neap_guest *guest = handle->data;
    if (--guest->open == 0) neap_free(guest);
}

void neap_guest_close(struct neap_loop *loop) {
    struct neap_guest *guest = loop->guest;
    neap_mailbox_set_alarm(loop->mailbox, NULL);
    guest->loop = NULL;
    loop->guest = NULL;
    loop->uv = NULL;
    uv_close((uv_handle_t *)&guest->alarm, on_close);
    uv_close((uv_handle_t *)&guest->bell, on_close);
    uv_close((uv_handle_t *)&guest->look, on_close);
}

void neap_guest_touch(struct neap_loop *loop) {
    struct neap_guest *guest = loop->guest;
    neap_loop_rest(loop);
    keep_alive(guest);
    if (!guest->inside) set_bell(guest);
}

void neap_guest_sleep(struct neap_loop *loop, int64_t deadline) {
    struct neap_guest *guest = loop->guest;
    if (deadline != NEAP_FOREVER) set_bell(guest);
    uv_ref((uv_handle_t *)&guest->alarm);
    uv_run(loop->uv, UV_RUN_ONCE);
    uv_unref((uv_handle_t *)&guest->alarm);
}

bool neap_guest_is_inside(const struct neap_loop *loop) { return loop->guest != NULL && loop->guest->inside; }
