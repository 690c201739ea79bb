#include "support.h"

#include <string.h>

#include "host/engine.h"

static struct neap_engine engine;
static const int keys[3];

static void keep(const void *key, const char *text) {
    struct neap_kept *kept = neap_kept_new(key, strlen(text));
    assert_non_null(kept);
    memcpy(kept->bytes, text, kept->size);
    neap_engine_keep(&engine, kept);
}

static void check_kept(const void *key, const char *text) {
    const struct neap_kept *kept = neap_engine_find_kept(&engine, key);
    assert_non_null(kept);
    assert_int_equal(kept->size, strlen(text));
    assert_memory_equal(kept->bytes, text, kept->size);
}

static void each_key_finds_its_own(void **state) {
    (void)state;
    assert_int_equal(neap_engine_init(&engine), 0);
    assert_null(neap_engine_find_kept(&engine, &keys[0]));
    keep(&keys[0], "one");
    keep(&keys[1], "other");
    check_kept(&keys[0], "one");
    check_kept(&keys[1], "other");
    assert_null(neap_engine_find_kept(&engine, &keys[2]));
    neap_engine_fini(&engine);
}

/* --- several threads --- */

enum { ROUNDS = 200 };
static int numbers[2][ROUNDS]; /* keys of each thread */

static void keep_many(void *argument) {
    for (int i = 0; i < ROUNDS; i++) {
        struct neap_kept *kept = neap_kept_new(&((int *)argument)[i], sizeof i);
        CHECK(kept != NULL);
        memcpy(kept->bytes, &i, sizeof i);
        neap_engine_keep(&engine, kept);
        const struct neap_kept *found = neap_engine_find_kept(&engine, &numbers[argument == numbers[0]][i]);
        CHECK(found == NULL || memcmp(found->bytes, &i, sizeof i) == 0);
    }
}

static void threads_keep_at_once_and_lose_nothing(void **state) {
    struct helper helper;
    (void)state;
    assert_int_equal(neap_engine_init(&engine), 0);
    helper_start(&helper, keep_many, numbers[0]);
    keep_many(numbers[1]);
    helper_join(&helper);
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < ROUNDS; i++) {
            const struct neap_kept *found = neap_engine_find_kept(&engine, &numbers[side][i]);
            assert_non_null(found);
            assert_memory_equal(found->bytes, &i, sizeof i);
        }
    neap_engine_fini(&engine);
}

int main(void) {
    const struct CMUnitTest kept_tests[] = {
        TEST(each_key_finds_its_own),
        TEST(threads_keep_at_once_and_lose_nothing),
    };
    return run_once(kept_tests);
}
