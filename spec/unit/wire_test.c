#include "support.h"

#include "host/wire.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

enum { PATIENCE_MS = 20000, SENDERS = 4, NUMBERED = 1, FILED = 2, LARGE = 3, PIECED = 4 };

/* What one end has received. */
struct end {
    struct neap_wire *wire;
    long frames;                /* received */
    long next[SENDERS];         /* the number expected from each sender */
    size_t bytes;               /* of large frames */
    int file;                   /* the last descriptor that came; -1 */
    int ended;                  /* the code of the end; 0: it goes on */
    long answered;              /* frames, by the test */
    int refuse_after;           /* frames after which one makes no sense; 0: never */
    struct neap_wire *reply_on; /* each numbered frame is sent back; NULL: it is not */
};

struct number {
    long sender, number;
    char filler[48];
};

static int send_number(struct neap_wire *wire, long sender, long number, size_t filler) {
    struct number frame = {.sender = sender, .number = number};
    const struct iovec pieces[] = {{.iov_base = &frame, .iov_len = offsetof(struct number, filler)},
                                   {.iov_base = frame.filler, .iov_len = filler}};
    memset(frame.filler, (int)number, sizeof frame.filler);
    return neap_wire_send(wire, NUMBERED, pieces, 2, NULL, 0);
}

static void check_number(struct end *end, const struct neap_wire_frame *frame) {
    struct number got;
    CHECK(frame->size >= offsetof(struct number, filler) && frame->size <= sizeof got);
    memcpy(&got, frame->bytes, frame->size);
    CHECK(got.sender >= 0 && got.sender < SENDERS);
    CHECK(got.number == end->next[got.sender]++);
    for (size_t i = offsetof(struct number, filler); i < frame->size; i++) CHECK(frame->bytes[i] == (char)got.number);
}

static void fill_large(char *bytes, size_t size) {
    for (size_t at = 0; at < size; at++) bytes[at] = (char)(at >> 8);
}

static void check_large(struct end *end, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i += 4093) CHECK(bytes[i] == (char)(i >> 8));
    end->bytes += size;
}

/* A frame of a number, something large, and a number once more. */
static int send_pieced(struct neap_wire *wire, long number, char *large, size_t size) {
    const struct iovec pieces[] = {{&number, sizeof number}, {large, size}, {&number, sizeof number}};
    return neap_wire_send_bulk(wire, PIECED, pieces, NULL, 0);
}

static void check_pieced(struct end *end, const struct neap_wire_frame *frame) {
    const struct neap_large_incoming *bulk = frame->bulk;
    size_t inside = frame->size - 2 * sizeof(long);
    long before, after;
    memcpy(&before, frame->bytes, sizeof before);
    memcpy(&after, frame->bytes + frame->size - sizeof after, sizeof after);
    CHECK(before == end->next[0] && after == before);
    CHECK(bulk == NULL || (bulk->at == sizeof before && inside == 0));
    end->next[0]++;
    if (bulk != NULL)
        check_large(end, bulk->bytes, bulk->size);
    else
        check_large(end, frame->bytes + sizeof before, inside);
}

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct end *end = wire->context;
    CHECK(end->ended == 0);
    end->frames++;
    if (frame->type == NUMBERED) check_number(end, frame);
    if (frame->type == FILED) {
        CHECK(frame->fd_count == 1);
        end->file = frame->fds[0];
        frame->fds[0] = -1;
    }
    if (frame->type == LARGE) check_large(end, frame->bytes, frame->size);
    if (frame->type == PIECED) check_pieced(end, frame);
    if (end->reply_on != NULL) {
        const struct iovec piece = {.iov_base = (void *)(uintptr_t)frame->bytes, .iov_len = frame->size};
        CHECK(neap_wire_send(end->reply_on, frame->type, &piece, 1, NULL, 0) == 0);
    }
    return end->refuse_after == 0 || end->frames < end->refuse_after;
}

static void ended(struct neap_wire *wire, int code) {
    struct end *end = wire->context;
    CHECK(end->ended == 0);
    end->ended = code;
}

/* The user may have gone when the wire has ended. */
static void passed(struct neap_wire *wire) {
    const struct end *end = wire->context;
    CHECK(end->ended == 0);
    CHECK(!neap_wire_is_being_read(wire));
}

static const struct neap_wire_user user = {.receive = receive, .ended = ended, .passed = passed};

static void end_init(struct end *end, struct neap_wire *wire) {
    memset(end, 0, sizeof *end);
    end->wire = wire;
    end->file = -1;
    neap_wire_start(wire, &user, end, NULL);
}

/* Both ends in this process. */
static void make_pair(struct end *near, struct end *far) {
    struct neap_wire *wire, *other;
    int socket;
    assert_int_equal(neap_wire_new(&wire, &socket), 0);
    int segment = dup(wire->segment->fd);
    assert_int_equal(neap_wire_open(socket, segment, &other), 0);
    end_init(near, wire);
    end_init(far, other);
}

static void drop_pair(struct end *near, struct end *far) {
    neap_wire_unref(near->wire);
    neap_wire_unref(far->wire);
}

/* Pumps when the socket says so, until so many frames have come or the wire has ended. */
static void await_frames(struct end *end, long frames) {
    while (end->frames < frames && end->ended == 0) {
        struct pollfd polled = {.fd = end->wire->bell.socket, .events = POLLIN};
        CHECK(poll(&polled, 1, PATIENCE_MS) == 1); /* else a bell was lost */
        neap_wire_pump(end->wire);
    }
}

static void await_end(struct end *end) { await_frames(end, LONG_MAX); }

/* --- frames --- */

static void frames_arrive_whole_and_in_order(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    for (long i = 0; i < 1000; i++) {
        assert_int_equal(send_number(near.wire, 0, i, (size_t)i % 48), 0);
        assert_int_equal(send_number(far.wire, 1, i, (size_t)i % 7), 0);
    }
    await_frames(&near, 1000);
    await_frames(&far, 1000);
    assert_int_equal(near.next[1], 1000);
    assert_int_equal(far.next[0], 1000);
    drop_pair(&near, &far);
}

static void a_frame_may_be_empty(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    assert_int_equal(neap_wire_send(near.wire, 9, NULL, 0, NULL, 0), 0);
    await_frames(&far, 1);
    drop_pair(&near, &far);
}

static void what_finds_no_room_follows(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    for (long i = 0; i < 20000; i++) assert_int_equal(send_number(near.wire, 2, i, 48), 0);
    while (far.frames < 20000) {
        await_frames(&far, far.frames + 1);
        struct pollfd polled = {.fd = near.wire->bell.socket, .events = POLLIN};
        if (poll(&polled, 1, 0) == 1) neap_wire_pump(near.wire); /* rung for, since there is room */
    }
    assert_int_equal(far.next[2], 20000);
    drop_pair(&near, &far);
}

static void a_large_frame_arrives_whole(void **state) {
    struct end near, far;
    (void)state;
    static const size_t sizes[] = {NEAP_WIRE_INLINE_MAX - 1, NEAP_WIRE_INLINE_MAX, 1 << 20, 10 << 20};
    size_t sum = 0;
    make_pair(&near, &far);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *bytes = malloc(sizes[i]);
        fill_large(bytes, sizes[i]);
        const struct iovec piece = {.iov_base = bytes, .iov_len = sizes[i]};
        assert_int_equal(neap_wire_send(near.wire, LARGE, &piece, 1, NULL, 0), 0);
        sum += sizes[i];
        free(bytes);
    }
    await_frames(&far, sizeof sizes / sizeof sizes[0]);
    assert_int_equal(far.bytes, sum);
    drop_pair(&near, &far);
}

static void a_large_piece_arrives_in_its_place(void **state) {
    struct end near, far;
    (void)state;
    static const size_t sizes[] = {0, 1, NEAP_WIRE_INLINE_MAX - 17, NEAP_WIRE_INLINE_MAX - 16, 1 << 20, 5 << 20};
    static char bytes[5 << 20];
    size_t sum = 0;
    make_pair(&near, &far);
    fill_large(bytes, sizeof bytes);
    for (long i = 0; i < 60; i++) {
        size_t size = sizes[i % 6];
        assert_int_equal(send_pieced(near.wire, i, bytes, size), 0);
        sum += size;
        await_frames(&far, i + 1);
    }
    await_frames(&far, 60);
    assert_int_equal(far.bytes, sum);
    drop_pair(&near, &far);
}

/* --- descriptors --- */

static int count_fds(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

static void send_file(struct neap_wire *wire, char text) {
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(write(fd, &text, 1), 1);
    assert_int_equal(neap_wire_send(wire, FILED, NULL, 0, &fd, 1), 0);
    close(fd);
}

static char text_of(int fd) {
    char text = 0;
    assert_int_equal(pread(fd, &text, 1, 0), 1);
    close(fd);
    return text;
}

/* All bytes of the n-th frame are n. */
static bool check_fill(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct end *end = wire->context;
    for (size_t at = 0; at < frame->size; at++) assert_int_equal(frame->bytes[at], (char)end->frames);
    end->frames++;
    return true;
}

static void send_filled(struct neap_wire *wire, long number, size_t size) {
    char *bytes = malloc(size);
    memset(bytes, (char)number, size);
    const struct iovec pieces[] = {{bytes, size / 3}, {bytes + size / 3, size - size / 3}};
    assert_int_equal(neap_wire_send(wire, LARGE, pieces, 2, NULL, 0), 0);
    free(bytes);
}

static void large_frames_use_the_same_places_again(void **state) {
    static const struct neap_wire_user user_of_filled = {.receive = check_fill, .ended = ended};
    struct end near, far;
    long sent[2] = {0, 0};
    int open_files = 0;
    (void)state;
    make_pair(&near, &far);
    neap_wire_start(near.wire, &user_of_filled, &near, NULL);
    neap_wire_start(far.wire, &user_of_filled, &far, NULL);
    for (int round = 0; round < 40; round++) {
        for (uint32_t left = 1 + chance(6); left > 0; left--) {
            size_t size = NEAP_WIRE_INLINE_MAX + chance(200 * 1024);
            send_filled(near.wire, sent[0]++, round == 20 ? size + (5 << 20) : size);
            send_filled(far.wire, sent[1]++, size);
        }
        await_frames(&far, sent[0]);
        await_frames(&near, sent[1]);
        if (round == 20) open_files = count_fds();
    }
    assert_int_equal(count_fds(), open_files);
    drop_pair(&near, &far);
}

static void a_descriptor_arrives_with_its_frame(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    for (int i = 0; i < 200; i++) {
        if (i % 3 == 0) assert_int_equal(send_number(near.wire, 0, i / 3, 8), 0);
        send_file(near.wire, (char)('a' + i % 26));
        if (i % 5 != 0) continue;
        await_frames(&far, i + 1 + i / 3 + 1);
        assert_int_equal(text_of(far.file), 'a' + i % 26);
        far.file = -1;
    }
    drop_pair(&near, &far);
}

static bool ignore(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    (void)frame;
    ((struct end *)wire->context)->frames++;
    return true;
}

static void a_descriptor_that_nobody_keeps_is_closed(void **state) {
    static const struct neap_wire_user careless = {.receive = ignore, .ended = ended};
    struct end near, far;
    (void)state;
    int before = count_fds();
    make_pair(&near, &far);
    neap_wire_start(far.wire, &careless, &far, NULL);
    for (int i = 0; i < 3000; i++) {
        send_file(near.wire, 'x');
        if (i % 100 == 99) await_frames(&far, i / 2); /* some are always under way */
    }
    for (int i = 0; far.frames < 3000 && i < 3000; i++) {
        neap_wire_pump(far.wire);
        neap_wire_pump(near.wire);
    }
    assert_int_equal(far.frames, 3000);
    send_file(near.wire, 'y');
    drop_pair(&near, &far);
    assert_int_equal(count_fds(), before);
}

static void a_descriptor_that_finds_no_room_is_missing(void **state) {
    struct end near, far;
    struct rlimit limit, tight;
    (void)state;
    make_pair(&near, &far);
    send_file(near.wire, 'x');
    assert_int_equal(send_number(near.wire, 0, 0, 0), 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    tight = limit;
    tight.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &tight);
    neap_wire_pump(far.wire);
    setrlimit(RLIMIT_NOFILE, &limit);
    await_frames(&far, 2);
    assert_int_equal(far.file, -1);
    assert_int_equal(far.ended, 0);
    drop_pair(&near, &far);
}

/* --- the end --- */

static void what_was_sent_before_the_end_arrives(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    for (long i = 0; i < 500; i++) assert_int_equal(send_number(near.wire, 0, i, 20), 0);
    send_file(near.wire, 'z');
    neap_wire_unref(near.wire);
    await_end(&far);
    assert_int_equal(far.frames, 501);
    assert_int_equal(text_of(far.file), 'z');
    assert_int_equal(far.ended, NEAP_BROKEN);
    assert_int_equal(send_number(far.wire, 0, 0, 0), NEAP_BROKEN);
    assert_false(neap_wire_pump(far.wire));
    neap_wire_unref(far.wire);
}

static void closing_ends_both_sides(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    neap_wire_close(near.wire);
    neap_wire_close(near.wire);
    await_end(&near);
    await_end(&far);
    assert_int_equal(near.ended, NEAP_CLOSED);
    assert_int_equal(far.ended, NEAP_BROKEN);
    drop_pair(&near, &far);
}

static void what_makes_no_sense_to_the_user_ends_it(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    far.refuse_after = 3;
    for (long i = 0; i < 10; i++) assert_int_equal(send_number(near.wire, 0, i, 0), 0);
    await_end(&far);
    assert_int_equal(far.frames, 3);
    assert_int_equal(far.ended, UV_EPROTO);
    await_end(&near);
    assert_int_equal(near.ended, NEAP_BROKEN);
    drop_pair(&near, &far);
}

/* Whatever the other side writes into the segment and the socket, each end goes on or ends. */
static void garbage_ends_it_at_worst(void **state) {
    static const struct neap_wire_user careless = {.receive = ignore, .ended = ended};
    (void)state;
    for (int round = 0; round < repeated(300); round++) {
        struct end near, far;
        make_pair(&near, &far);
        neap_wire_start(far.wire, &careless, &far, NULL);
        for (long i = 0; i < (long)chance(50); i++) send_number(near.wire, 0, i, chance(48));
        for (long i = 0; i < (long)chance(4); i++) send_filled(near.wire, i, NEAP_WIRE_INLINE_MAX);
        char *base = near.wire->segment->base;
        for (uint32_t i = 0, count = chance(40); i < count; i++) {
            size_t within = chance(2) == 0 ? 512 : near.wire->segment->size;
            if (chance(2) == 0)
                near.wire->out.bytes[chance((uint32_t)near.wire->out.at + 64)] = (char)chance(256);
            else
                base[chance((uint32_t)within)] = (char)chance(256);
        }
        for (uint32_t i = 0, count = chance(4); i < count; i++) {
            char byte = (char)chance(12);
            CHECK(write(near.wire->bell.socket, &byte, 1) == 1);
        }
        for (int i = 0; i < 20 && far.ended == 0; i++) neap_wire_pump(far.wire);
        for (int i = 0; i < 5 && far.ended == 0; i++) send_number(far.wire, 1, i, 0);
        drop_pair(&near, &far);
    }
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    for (long after = 0;; after++) {
        struct neap_wire *wire = NULL;
        int socket = -1;
        neap_memory_fail_after(after);
        int code = neap_wire_new(&wire, &socket);
        neap_memory_fail_after(-1);
        if (code == 0) {
            close(socket);
            neap_wire_unref(wire);
            break;
        }
        assert_int_equal(code, NEAP_NOMEM);
    }
    struct end near, far;
    make_pair(&near, &far);
    long sent = 0, failed = 0;
    for (int i = 0; i < 20000; i++) { /* many of them have to be kept */
        neap_memory_fail_after(i % 3 == 0 ? 0 : -1);
        int code = send_number(near.wire, 0, sent, 40);
        neap_memory_fail_after(-1);
        if (code == 0)
            sent++;
        else
            failed++;
        assert_true(code == 0 || code == NEAP_NOMEM);
    }
    assert_true(failed > 0);
    while (far.frames < sent) {
        neap_wire_pump(far.wire);
        neap_wire_pump(near.wire);
    }
    drop_pair(&near, &far);
}

static void tell_number(struct neap_wire *wire, long number) {
    const struct number frame = {.number = number};
    const struct iovec piece = {(void *)(uintptr_t)&frame, offsetof(struct number, filler)};
    neap_memory_fail_after(0);
    neap_wire_tell(wire, NUMBERED, &piece);
    neap_memory_fail_after(-1);
}

/* Both sides pump until so many frames have come, or it ends. */
static void pump_both(struct end *near, struct end *far, long frames) {
    while (far->frames < frames && far->ended == 0) {
        neap_wire_pump(far->wire);
        neap_wire_pump(near->wire);
    }
}

static void what_is_told_needs_no_memory_or_ends_it(void **state) {
    struct end near, far;
    long number = 0;
    (void)state;
    make_pair(&near, &far);
    for (int round = 0; round < 3; round++) {
        for (int code = 0; code == 0; number += code == 0) { /* until there is no room */
            neap_memory_fail_after(0);
            code = send_number(near.wire, 0, number, 0);
            neap_memory_fail_after(-1);
            assert_true(code == 0 || code == NEAP_NOMEM);
        }
        for (int i = 0; i < 8; i++) tell_number(near.wire, number++);
        if (round == 2) tell_number(near.wire, number); /* one more than there are places for */
        pump_both(&near, &far, number);
        assert_true(round == 2 ? far.ended != 0 : far.frames == number);
    }
    await_end(&near);
    drop_pair(&near, &far);
}

/* --- several threads --- */

struct sender {
    struct neap_wire *wire;
    long sender, count;
};

static void *send_many(void *argument) {
    const struct sender *sender = argument;
    for (long i = 0; i < sender->count; i++) {
        CHECK(send_number(sender->wire, sender->sender, i, (size_t)(i % 48)) == 0);
        if (i % 64 == 0) dawdle(2000);
    }
    return NULL;
}

static void many_may_send_at_once(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    long each = repeated(5000);
    for (long i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){near.wire, i, each};
        pthread_create(&threads[i], NULL, send_many, &senders[i]);
    }
    while (far.frames < SENDERS * each) {
        struct pollfd polled[] = {{.fd = far.wire->bell.socket, .events = POLLIN},
                                  {.fd = near.wire->bell.socket, .events = POLLIN}};
        CHECK(poll(polled, 2, PATIENCE_MS) > 0);
        if (polled[0].revents != 0) neap_wire_pump(far.wire);
        if (polled[1].revents != 0) neap_wire_pump(near.wire);
    }
    for (int i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < SENDERS; i++) assert_int_equal(far.next[i], each);
    drop_pair(&near, &far);
}

struct glancer {
    struct neap_wire *wire;
    _Atomic bool stop;
};

static void *glance_often(void *argument) {
    struct glancer *glancer = argument;
    while (!atomic_load(&glancer->stop)) {
        neap_wire_attend(glancer->wire);
        for (int i = 0; i < 100; i++) {
            neap_wire_glance(glancer->wire);
            dawdle(20);
        }
        neap_wire_leave(glancer->wire);
        dawdle(1000);
    }
    return NULL;
}

/* Who attends takes frames away from who pumps, and leaves none behind. */
static void no_frame_is_missed_between_glances(void **state) {
    struct end near, far;
    (void)state;
    make_pair(&near, &far);
    near.reply_on = NULL;
    far.reply_on = far.wire;
    struct glancer glancer = {.wire = far.wire};
    atomic_init(&glancer.stop, false);
    pthread_t thread, pumping;
    pthread_create(&thread, NULL, glance_often, &glancer);
    struct glancer other = {.wire = far.wire};
    atomic_init(&other.stop, false);
    pthread_create(&pumping, NULL, glance_often, &other);
    for (long i = 0; i < repeated(3000); i++) {
        CHECK(send_number(near.wire, 0, i, 0) == 0);
        while (near.frames <= i) {
            struct pollfd polled[] = {{.fd = far.wire->bell.socket, .events = POLLIN},
                                      {.fd = near.wire->bell.socket, .events = POLLIN}};
            CHECK(poll(polled, 2, PATIENCE_MS) > 0);
            if (polled[0].revents != 0) neap_wire_pump(far.wire);
            if (polled[1].revents != 0) neap_wire_pump(near.wire);
        }
    }
    atomic_store(&glancer.stop, true);
    atomic_store(&other.stop, true);
    pthread_join(thread, NULL);
    pthread_join(pumping, NULL);
    drop_pair(&near, &far);
}

/* --- two processes --- */

/* Runs body(wire) in a child, on the other end. */
static pid_t fork_end(struct end *near, void (*body)(struct neap_wire *wire)) {
    struct neap_wire *wire, *other;
    int socket;
    assert_int_equal(neap_wire_new(&wire, &socket), 0);
    int segment = dup(wire->segment->fd);
    end_init(near, wire);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        close(wire->bell.socket);
        if (neap_wire_open(socket, segment, &other) == 0) body(other);
        _exit(0);
    }
    close(socket);
    close(segment);
    return child;
}

static void echo(struct neap_wire *wire) {
    struct end end;
    end_init(&end, wire);
    end.reply_on = wire;
    await_end(&end);
}

static void a_child_answers(void **state) {
    struct end near;
    (void)state;
    pid_t child = fork_end(&near, echo);
    for (long i = 0; i < 2000; i++) {
        assert_int_equal(send_number(near.wire, 0, i, (size_t)i % 48), 0);
        await_frames(&near, i + 1);
    }
    neap_wire_close(near.wire);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    neap_wire_unref(near.wire);
}

static void chatter(struct neap_wire *wire) {
    struct end end;
    end_init(&end, wire);
    for (long i = 0;; i++) {
        if (send_number(wire, 0, i, (size_t)i % 48) != 0) _exit(1);
        if (i % 16 == 0) neap_wire_pump(wire);
        while (neap_backlog_has_some(&wire->backlog)) { /* nobody wants more than there is room for */
            struct pollfd polled = {.fd = wire->bell.socket, .events = POLLIN};
            poll(&polled, 1, -1);
            neap_wire_pump(wire);
        }
    }
}

/* At whatever instant: what arrives is what was sent, up to some frame; then the end. */
static void a_killed_sender_leaves_whole_frames(void **state) {
    (void)state;
    for (int round = 0; round < repeated(60); round++) {
        struct end near;
        pid_t child = fork_end(&near, chatter);
        long frames = (long)chance(3000);
        await_frames(&near, frames);
        dawdle(chance(4) == 0 ? 200000 : 2000);
        kill(child, SIGKILL);
        await_end(&near);
        assert_int_equal(near.ended, NEAP_BROKEN);
        assert_int_equal(near.next[0], near.frames);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WTERMSIG(status), SIGKILL);
        neap_wire_unref(near.wire);
    }
}

static void chatter_large(struct neap_wire *wire) {
    static char bytes[1 << 20];
    struct end end;
    end_init(&end, wire);
    fill_large(bytes, sizeof bytes);
    for (long i = 0;; i++) {
        if (send_pieced(wire, i, bytes, NEAP_WIRE_INLINE_MAX + chance(sizeof bytes - NEAP_WIRE_INLINE_MAX)) != 0)
            _exit(1);
        neap_wire_pump(wire);
        while (i - end.frames > 8) { /* not too many ahead */
            struct pollfd polled = {.fd = wire->bell.socket, .events = POLLIN};
            poll(&polled, 1, -1);
            neap_wire_pump(wire);
        }
    }
}

static void a_killed_sender_leaves_whole_pieces(void **state) {
    (void)state;
    for (int round = 0; round < repeated(40); round++) {
        struct end near;
        pid_t child = fork_end(&near, chatter_large);
        for (long frames = (long)chance(100); near.frames < frames && near.ended == 0;) {
            await_frames(&near, near.frames + 1);
            while (near.answered < near.frames) assert_int_equal(send_number(near.wire, 0, near.answered++, 0), 0);
        }
        dawdle(chance(4) == 0 ? 200000 : 2000);
        kill(child, SIGKILL);
        await_end(&near);
        assert_int_equal(near.next[0], near.frames);
        assert_int_equal(waitpid(child, NULL, 0), child);
        neap_wire_unref(near.wire);
    }
}

int main(void) {
    const struct CMUnitTest wires[] = {
        TEST(frames_arrive_whole_and_in_order),
        TEST(a_frame_may_be_empty),
        TEST(what_finds_no_room_follows),
        TEST(a_large_frame_arrives_whole),
        TEST(large_frames_use_the_same_places_again),
        TEST(a_large_piece_arrives_in_its_place),
        TEST(a_descriptor_arrives_with_its_frame),
        TEST(a_descriptor_that_nobody_keeps_is_closed),
        TEST(a_descriptor_that_finds_no_room_is_missing),
        TEST(what_was_sent_before_the_end_arrives),
        TEST(closing_ends_both_sides),
        TEST(what_makes_no_sense_to_the_user_ends_it),
        TEST(garbage_ends_it_at_worst),
        TEST(every_allocation_may_fail),
        TEST(what_is_told_needs_no_memory_or_ends_it),
        TEST(many_may_send_at_once),
        TEST(no_frame_is_missed_between_glances),
        TEST(a_child_answers),
        TEST(a_killed_sender_leaves_whole_frames),
        TEST(a_killed_sender_leaves_whole_pieces),
    };
    return run_once(wires);
}
