#include "support.h"

#include "host/hub.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/futex.h"
#include "host/engine.h"

static struct neap_engine engine;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    return neap_engine_init(&engine);
}

static int drop(void **state) {
    neap_engine_fini(&engine);
    return tear_down(state);
}

/* What the hub's thread is asked to do, one after the other; then `done` counts. */
struct errand {
    struct neap_runnable runnable;
    struct neap_hub *hub;
    struct neap_watch watch;
    int fd;
    char seen[64]; /* what came; only the hub writes */
    size_t used;
    size_t piece;          /* bytes that are read at a time; 0: all that there is room for */
    _Atomic uint32_t done; /* a futex */
};

static void tell(struct errand *errand) {
    atomic_fetch_add(&errand->done, 1);
    neap_futex_wake(&errand->done);
}

static void await_done(struct errand *errand, uint32_t count) {
    uint32_t done;
    while ((done = atomic_load(&errand->done)) < count) neap_futex_wait(&errand->done, done, NEAP_FOREVER);
}

static void stopped(struct neap_watch *watch) { tell(NEAP_CONTAINER_OF(watch, struct errand, watch)); }

static void on_ready(struct neap_watch *watch) {
    struct errand *errand = NEAP_CONTAINER_OF(watch, struct errand, watch);
    size_t room = errand->piece != 0 ? errand->piece : sizeof errand->seen - errand->used;
    ssize_t size = read(errand->fd, errand->seen + errand->used, room);
    CHECK(size >= 0 || errno == ECONNRESET);
    if (size <= 0) {
        neap_watch_stop(watch, stopped);
        return;
    }
    errand->used += (size_t)size;
    tell(errand);
}

static void start_watching(struct neap_runnable *runnable) {
    struct errand *errand = NEAP_CONTAINER_OF(runnable, struct errand, runnable);
    CHECK(neap_watch_start(&errand->watch, errand->hub, errand->fd, on_ready) == 0);
    tell(errand);
}

static void an_engine_has_one_that_is_made_on_demand(void **state) {
    struct neap_hub *hub, *same;
    (void)state;
    assert_null(engine.hub);
    assert_int_equal(neap_hub_get(&engine, &hub), 0);
    assert_int_equal(neap_hub_get(&engine, &same), 0);
    assert_ptr_equal(hub, same);
}

static void it_looks_after_descriptors(void **state) {
    struct errand errand = {.runnable = {.run = start_watching}};
    int ends[2];
    (void)state;
    atomic_init(&errand.done, 0);
    assert_int_equal(pipe(ends), 0);
    errand.fd = ends[0];
    assert_int_equal(neap_hub_get(&engine, &errand.hub), 0);
    neap_hub_post(errand.hub, &errand.runnable);
    await_done(&errand, 1);
    assert_int_equal(write(ends[1], "ab", 2), 2);
    await_done(&errand, 2);
    assert_int_equal(write(ends[1], "c", 1), 1);
    await_done(&errand, 3);
    close(ends[1]);
    await_done(&errand, 4);
    assert_memory_equal(errand.seen, "abc", 3);
    assert_false(neap_watch_is_on(&errand.watch));
    close(ends[0]);
}

/* A socket whose other end is closed with something unread in it has an error, whatever there is to be read here. */
static void who_reads_in_pieces_hears_of_the_end_after_an_error(void **state) {
    struct errand errand = {.runnable = {.run = start_watching}, .piece = 1};
    int ends[2];
    (void)state;
    atomic_init(&errand.done, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    errand.fd = ends[0];
    assert_int_equal(write(ends[0], "unread", 6), 6);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    close(ends[1]);
    assert_int_equal(neap_hub_get(&engine, &errand.hub), 0);
    neap_hub_post(errand.hub, &errand.runnable);
    await_done(&errand, 1 + 3 + 1);
    assert_memory_equal(errand.seen, "abc", 3);
    close(ends[0]);
}

/* Keeps the hub awake until it is to end. */
static void await_end(struct neap_runnable *runnable) {
    struct errand *errand = NEAP_CONTAINER_OF(runnable, struct errand, runnable);
    while (!atomic_load_explicit(&errand->hub->stopping, memory_order_relaxed)) neap_relax();
}

static void it_may_end_before_it_is_told_to(void **state) {
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct errand errand = {.runnable = {.run = await_end}};
        assert_int_equal(neap_hub_get(&engine, &errand.hub), 0);
        neap_hub_post(errand.hub, &errand.runnable);
        for (int i = 0; i < round * 100; i++) neap_relax();
        neap_hub_end(&engine);
        assert_null(engine.hub);
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (long after = 0;; after++) {
        struct neap_hub *hub;
        neap_memory_fail_after(after);
        int code = neap_hub_get(&engine, &hub);
        neap_memory_fail_after(-1);
        if (code == 0) break;
        assert_int_equal(code, NEAP_NOMEM);
        assert_null(engine.hub);
    }
}

#define HUB(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest hubs[] = {
        HUB(an_engine_has_one_that_is_made_on_demand),
        HUB(it_looks_after_descriptors),
        HUB(who_reads_in_pieces_hears_of_the_end_after_an_error),
        HUB(it_may_end_before_it_is_told_to),
        HUB(every_allocation_may_fail),
    };
    return run_once(hubs);
}
