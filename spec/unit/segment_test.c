#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/segment.h"

static struct neap_segment *fresh(size_t size) {
    struct neap_segment *segment;
    assert_int_equal(neap_segment_new(size, &segment), 0);
    return segment;
}

/* Calls `body` in a child process; what it returns, or minus the signal that ended it. */
static int in_child(int (*body)(struct neap_segment *segment), struct neap_segment *segment) {
    pid_t child = fork();
    if (child == 0) _exit(body(segment));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_new_one_is_zeroed_and_has_the_size_asked_for(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(100000);
    assert_int_equal(segment->size, 100000);
    for (size_t i = 0; i < segment->size; i++) assert_int_equal(segment->base[i], 0);
    memset(segment->base, 1, segment->size);
    neap_segment_unref(segment);
}

static void no_two_have_the_same_id(void **state) {
    (void)state;
    struct neap_segment *one = fresh(1), *other = fresh(1);
    assert_true(one->id != other->id);
    neap_segment_unref(one);
    neap_segment_unref(other);
}

static void its_descriptor_makes_another_of_the_same_bytes(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(5000), *again;
    segment->base[4999] = 7;
    assert_int_equal(neap_segment_from_fd(dup(segment->fd), segment->id, &again), 0);
    assert_int_equal(again->size, 5000);
    assert_int_equal(again->id, segment->id);
    assert_ptr_not_equal(again->base, segment->base);
    assert_int_equal(again->base[4999], 7);
    again->base[0] = 8;
    neap_segment_unref(again);
    assert_int_equal(segment->base[0], 8);
    neap_segment_unref(segment);
}

static int write_nine(struct neap_segment *segment) {
    struct neap_segment *mine;
    if (neap_segment_from_fd(dup(segment->fd), segment->id, &mine) < 0) return 1;
    mine->base[3] = 9;
    return 0;
}

static void a_child_process_shares_it(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64);
    assert_int_equal(in_child(write_nine, segment), 0);
    assert_int_equal(segment->base[3], 9);
    neap_segment_unref(segment);
}

static int write_and_die(struct neap_segment *segment) {
    segment->base[0] = 1;
    return raise(SIGKILL);
}

static void what_a_killed_process_wrote_stays(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64);
    assert_int_equal(in_child(write_and_die, segment), -SIGKILL);
    assert_int_equal(segment->base[0], 1);
    neap_segment_unref(segment);
}

static void it_lives_as_long_as_somebody_refers_to_it(void **state) {
    (void)state;
    int before = descriptors();
    struct neap_segment *segment = fresh(64);
    assert_ptr_equal(neap_segment_ref(segment), segment);
    neap_segment_unref(segment);
    segment->base[0] = 1;
    assert_int_equal(descriptors(), before + 1);
    neap_segment_unref(segment);
    assert_int_equal(descriptors(), before);
}

static void its_descriptor_is_closed_on_exec(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64);
    assert_true(fcntl(segment->fd, F_GETFD) & FD_CLOEXEC);
    neap_segment_unref(segment);
}

static void what_is_no_segment_is_refused(void **state) {
    (void)state;
    struct neap_segment *segment;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(neap_segment_from_fd(ends[0], 1, &segment), UV_EINVAL);
    assert_int_equal(close(ends[0]) + close(ends[1]), 0);
    assert_int_equal(neap_segment_from_fd(-1, 1, &segment), UV_EBADF);
    int empty = memfd_create("empty", MFD_ALLOW_SEALING);
    assert_int_equal(neap_segment_from_fd(empty, 1, &segment), UV_EINVAL);
    assert_int_equal(close(empty), 0);
}

static void what_could_shrink_is_refused(void **state) {
    (void)state;
    struct neap_segment *segment;
    int fd = memfd_create("shrinks", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(neap_segment_from_fd(fd, 1, &segment), UV_EINVAL);
    assert_int_equal(close(fd), 0);
    segment = fresh(100);
    assert_int_equal(ftruncate(segment->fd, 10), -1);
    neap_segment_unref(segment);
}

static void places_outside_are_not_there(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(100);
    assert_ptr_equal(neap_segment_at(segment, 0, 100, 1), segment->base);
    assert_ptr_equal(neap_segment_at(segment, 96, 4, 4), segment->base + 96);
    assert_ptr_equal(neap_segment_at(segment, 100, 0, 1), segment->base + 100);
    assert_null(neap_segment_at(segment, 97, 4, 1));
    assert_null(neap_segment_at(segment, 101, 0, 1));
    assert_null(neap_segment_at(segment, 4, 4, 8));
    assert_null(neap_segment_at(segment, UINT64_MAX, 8, 1));
    assert_null(neap_segment_at(segment, 8, UINT64_MAX, 1));
    neap_segment_unref(segment);
}

/* --- sealed --- */

static int write_here(struct neap_segment *segment) {
    signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it */
    segment->base[0] = 1;
    return 0;
}

static int write_elsewhere(struct neap_segment *segment) {
    struct neap_segment *mine;
    if (neap_segment_from_fd(dup(segment->fd), segment->id, &mine) < 0) return 1;
    if (!neap_segment_is_sealed(mine)) return 2;
    return write_here(mine);
}

static void a_sealed_one_can_be_read(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64), *again;
    segment->base[63] = 5;
    assert_false(neap_segment_is_sealed(segment));
    assert_int_equal(neap_segment_seal(segment), 0);
    assert_int_equal(neap_segment_seal(segment), 0);
    assert_true(neap_segment_is_sealed(segment));
    assert_int_equal(segment->base[63], 5);
    assert_int_equal(neap_segment_from_fd(dup(segment->fd), segment->id, &again), 0);
    assert_int_equal(again->base[63], 5);
    neap_segment_unref(again);
    neap_segment_unref(segment);
}

static void writing_to_a_sealed_one_faults(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64);
    assert_int_equal(in_child(write_here, segment), 0);
    assert_int_equal(neap_segment_seal(segment), 0);
    assert_int_equal(in_child(write_here, segment), -SIGSEGV);
    assert_int_equal(in_child(write_elsewhere, segment), -SIGSEGV);
    assert_int_equal(write(segment->fd, "x", 1), -1);
    neap_segment_unref(segment);
}

static void who_had_it_before_it_was_sealed_sees_the_same_bytes(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64), *before;
    assert_int_equal(neap_segment_from_fd(dup(segment->fd), segment->id, &before), 0);
    assert_int_equal(neap_segment_seal(segment), 0);
    before->base[0] = 3;
    assert_int_equal(segment->base[0], 3);
    neap_segment_unref(before);
    neap_segment_unref(segment);
}

/* --- what fails --- */

static void every_failing_allocation_leaves_nothing(void **state) {
    (void)state;
    int before = descriptors();
    int code = NEAP_NOMEM, tries = 0;
    struct neap_segment *segment;
    while (code < 0) {
        assert_int_equal(code, NEAP_NOMEM);
        neap_memory_fail_after(tries++);
        code = neap_segment_new(64, &segment);
        neap_memory_fail_after(-1);
        assert_int_equal(descriptors(), before + (code == 0));
    }
    assert_int_equal(tries, 3);
    neap_segment_unref(segment);
}

static void a_failed_arrival_leaves_the_descriptor_to_the_caller(void **state) {
    (void)state;
    struct neap_segment *segment = fresh(64), *again;
    int fd = dup(segment->fd);
    for (int i = 0; i < 2; i++) {
        neap_memory_fail_after(i);
        assert_int_equal(neap_segment_from_fd(fd, 1, &again), NEAP_NOMEM);
        neap_memory_fail_after(-1);
    }
    assert_int_equal(close(fd), 0);
    neap_segment_unref(segment);
}

static void no_descriptor_is_an_error(void **state) {
    (void)state;
    struct rlimit usual, none;
    struct neap_segment *segment;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = usual;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int code = neap_segment_new(64, &segment);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(code, UV_EMFILE);
}

static void more_than_the_machine_has_is_no_memory(void **state) {
    (void)state;
    struct neap_segment *segment;
    assert_int_equal(neap_segment_new((size_t)1 << 50, &segment), NEAP_NOMEM);
    assert_int_equal(neap_segment_new(SIZE_MAX, &segment), NEAP_NOMEM);
}

/* --- many threads --- */

static void ref_and_unref(void *argument) {
    struct neap_segment *segment = argument;
    for (int i = 0; i < 1000; i++) neap_segment_unref(neap_segment_ref(segment));
    atomic_fetch_add((_Atomic uint64_t *)(void *)segment->base, 1);
    neap_segment_unref(segment);
}

static void the_last_of_many_threads_ends_it(void **state) {
    (void)state;
    enum { THREADS = 4 };
    int before = descriptors();
    struct helper helpers[THREADS];
    for (int round = 0; round < repeated(10); round++) {
        struct neap_segment *segment = fresh(64);
        for (int i = 0; i < THREADS; i++) helper_start(&helpers[i], ref_and_unref, neap_segment_ref(segment));
        neap_segment_unref(segment);
        for (int i = 0; i < THREADS; i++) helper_join(&helpers[i]);
        assert_int_equal(descriptors(), before);
    }
}

int main(void) {
    const struct CMUnitTest segment_tests[] = {
        TEST(a_new_one_is_zeroed_and_has_the_size_asked_for),
        TEST(no_two_have_the_same_id),
        TEST(its_descriptor_makes_another_of_the_same_bytes),
        TEST(a_child_process_shares_it),
        TEST(what_a_killed_process_wrote_stays),
        TEST(it_lives_as_long_as_somebody_refers_to_it),
        TEST(its_descriptor_is_closed_on_exec),
        TEST(what_is_no_segment_is_refused),
        TEST(what_could_shrink_is_refused),
        TEST(places_outside_are_not_there),
        TEST(a_sealed_one_can_be_read),
        TEST(writing_to_a_sealed_one_faults),
        TEST(who_had_it_before_it_was_sealed_sees_the_same_bytes),
        TEST(every_failing_allocation_leaves_nothing),
        TEST(a_failed_arrival_leaves_the_descriptor_to_the_caller),
        TEST(no_descriptor_is_an_error),
        TEST(more_than_the_machine_has_is_no_memory),
        TEST(the_last_of_many_threads_ends_it),
    };
    return run_once(segment_tests);
}
