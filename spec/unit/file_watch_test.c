#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file_watch.h"

static char folder[64], file[96], other[96];
static struct neap_file_watch *watch;
static struct actor first, second;

static int begin(void **state, const char *only) {
    strcpy(folder, P_tmpdir "/neap_watch_XXXXXX");
    if (set_up(state) != 0 || mkdtemp(folder) == NULL) return -1;
    snprintf(file, sizeof file, "%s/file", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    actor_init(&first, &here);
    actor_init(&second, &here);
    return neap_file_watch_new(&here, folder, only, &watch);
}

static int begin_all(void **state) { return begin(state, NULL); }
static int begin_one(void **state) { return begin(state, "file"); }

static int drop(void **state) {
    neap_object_unref(&watch->object);
    actor_end(&first);
    actor_end(&second);
    rmdir(file);
    rmdir(other);
    rmdir(folder);
    return tear_down(state);
}

#define WATCHING(function) cmocka_unit_test_setup_teardown(function, begin_all, drop)
#define WATCHING_ONE(function) cmocka_unit_test_setup_teardown(function, begin_one, drop)

static int wait_for(struct actor *actor) { return start(actor, watch, NEAP_FILE_WATCH_NEXT, NEAP_FOREVER); }

static void make(const char *path) { assert_int_equal(mkdir(path, 0700), 0); }

/* What the actor was told; its message is dropped. */
static void assert_told(struct actor *actor, enum neap_file_event_kind kind, const char *name) {
    struct neap_link *link = &actor->links[0];
    assert_int_equal(neap_file_event_kind(link), kind);
    assert_int_equal(link->message.kind, NEAP_MESSAGE_TEXT);
    assert_int_equal(link->message.length, strlen(name));
    assert_memory_equal(link->message.text, name, strlen(name));
    neap_message_fini(&link->message);
}

static bool is_polled(void) { return uv_is_active((uv_handle_t *)watch->poll); }

static void what_has_happened_is_taken_at_once(void **state) {
    (void)state;
    make(file);
    assert_int_equal(wait_for(&first), 0);
    assert_told(&first, NEAP_FILE_CREATED, "file");
    assert_false(is_polled());
}

static void who_waits_is_served_in_order_one_event_each(void **state) {
    (void)state;
    assert_int_equal(wait_for(&first), NEAP_PARKED);
    assert_int_equal(wait_for(&second), NEAP_PARKED);
    make(file);
    assert_int_equal(finish(&first), 0);
    assert_told(&first, NEAP_FILE_CREATED, "file");
    assert_int_equal(outcome(&second), NEAP_PARKED);
    assert_true(is_polled());
    make(other);
    assert_int_equal(finish(&second), 0);
    assert_told(&second, NEAP_FILE_CREATED, "other");
    assert_false(is_polled());
}

static void who_goes_away_leaves_the_event_and_the_loop_idle(void **state) {
    (void)state;
    assert_int_equal(act(&first, watch, NEAP_FILE_WATCH_NEXT, PASSED), NEAP_TIMEOUT);
    assert_false(is_polled());
    assert_int_equal(wait_for(&first), NEAP_PARKED);
    make(file);
    assert_true(cancel(&first));
    assert_int_equal(finish(&first), NEAP_CANCELLED);
    assert_int_equal(wait_for(&second), 0);
    assert_told(&second, NEAP_FILE_CREATED, "file");
}

static void other_names_wake_nobody_who_waits_for_one(void **state) {
    (void)state;
    assert_int_equal(wait_for(&first), NEAP_PARKED);
    make(other);
    uv_run(here.uv, UV_RUN_NOWAIT);
    assert_int_equal(outcome(&first), NEAP_PARKED);
    make(file);
    assert_int_equal(finish(&first), 0);
    assert_told(&first, NEAP_FILE_CREATED, "file");
}

static void the_end_of_the_folder_answers_all_who_wait(void **state) {
    (void)state;
    assert_int_equal(wait_for(&first), NEAP_PARKED);
    assert_int_equal(wait_for(&second), NEAP_PARKED);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(finish(&first), 0);
    assert_told(&first, NEAP_FILE_REMOVED, "");
    assert_int_equal(finish(&second), NEAP_CLOSED);
    assert_true(neap_file_watch_is_closed(watch));
}

static void closing_answers_who_waits(void **state) {
    (void)state;
    assert_int_equal(wait_for(&first), NEAP_PARKED);
    assert_true(neap_file_watch_close(watch));
    assert_int_equal(finish(&first), NEAP_CLOSED);
    assert_false(neap_file_watch_close(watch));
    assert_int_equal(wait_for(&first), NEAP_CLOSED);
}

static void what_cannot_be_watched_is_refused(void **state) {
    struct neap_file_watch *none = NULL;
    (void)state;
    assert_int_equal(neap_file_watch_new(&here, "/nowhere", NULL, &none), UV_ENOENT);
    assert_int_equal(neap_file_watch_new(&here, "/dev/null", NULL, &none), UV_ENOTDIR);
    assert_null(none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WATCHING(what_has_happened_is_taken_at_once),
        WATCHING(who_waits_is_served_in_order_one_event_each),
        WATCHING(who_goes_away_leaves_the_event_and_the_loop_idle),
        WATCHING_ONE(other_names_wake_nobody_who_waits_for_one),
        WATCHING(the_end_of_the_folder_answers_all_who_wait),
        WATCHING(closing_answers_who_waits),
        WATCHING(what_cannot_be_watched_is_refused),
    };
    return run_once(tests);
}
