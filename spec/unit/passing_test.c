#include "support.h"

#include "host/passing.h"

#include <dirent.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/object.h"
#include "core/passage.h"
#include "io/listener.h"
#include "io/socket.h"

/* --- beside listeners: one that does not get away, and one that does not arrive --- */

static int arrival;

static void destroy(struct neap_object *object) { neap_free(object); }

static int stay(struct neap_object *object, struct neap_passage *passage) {
    (void)object;
    (void)passage;
    return UV_ENOTSUP;
}

static int go(struct neap_object *object, struct neap_passage *passage) {
    (void)object;
    passage->fd = dup(STDERR_FILENO);
    return 0;
}

static int fail_to_arrive(const struct neap_passage *passage, struct neap_object **object) {
    (void)passage;
    (void)object;
    return arrival;
}

static const struct neap_class rooted_class = {
    .name = "rooted", .destroy = destroy, .depart = stay, .arrive = fail_to_arrive};
static const struct neap_class lost_class = {
    .name = "lost", .destroy = destroy, .depart = go, .arrive = fail_to_arrive};
static const struct neap_class plain_class = {.name = "plain", .destroy = destroy};
static const struct neap_class *const classes[] = {&neap_listener_class, &rooted_class, &lost_class, &plain_class,
                                                   NULL};

static struct neap_object *new_thing(const struct neap_class *class) {
    struct neap_object *object = neap_alloc(sizeof *object);
    assert_non_null(object);
    neap_object_init(object, class);
    neap_object_share(object);
    return object;
}

static struct neap_listener *new_listener(void) {
    struct neap_address address;
    int fd = -1;
    assert_int_equal(neap_address_numeric(&address, "127.0.0.1", 0), 0);
    assert_int_equal(neap_socket_listen(&address, 8, 0, &fd), 0);
    struct neap_listener *listener = neap_listener_new(fd, NULL);
    assert_non_null(listener);
    neap_object_share(&listener->object);
    return listener;
}

static int port_of(const struct neap_listener *listener) {
    char host[NEAP_HOST_MAX];
    return neap_address_text(&listener->address, host);
}

/* 0: somebody listens there. */
static int connect_to(const struct neap_listener *listener) {
    int fd = -1, code = neap_socket_connect(&listener->address, &fd);
    if (code == UV_EAGAIN) {
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        assert_int_equal(poll(&writable, 1, -1), 1);
        code = neap_socket_connected(fd);
    }
    if (fd >= 0) close(fd);
    return code;
}

static int count_descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

/* --- two ends --- */

static struct neap_wire *near, *far;
static struct neap_object *arrived[NEAP_WIRE_FDS_MAX + 8];
static unsigned wanted;
static int read_code, before;
static long failing = -1; /* see neap_memory_fail_after; while a frame is read */

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct neap_unpacker unpacker;
    neap_unpacker_init(&unpacker, wire, frame);
    neap_memory_fail_after(failing);
    for (unsigned i = 0; i < wanted; i++) arrived[i] = neap_passing_unpack(&unpacker);
    neap_memory_fail_after(-1);
    read_code = unpacker.code;
    return true;
}

static void ended(struct neap_wire *wire, int code) {
    (void)wire;
    (void)code;
}

static const struct neap_wire_user user = {.receive = receive, .ended = ended};

static int make(void **state) {
    int socket;
    if (set_up(state) != 0) return -1;
    before = count_descriptors();
    if (neap_wire_new(&near, &socket) != 0) return -1;
    if (neap_wire_open(socket, dup(near->segment->fd), &far) != 0) return -1;
    neap_wire_start(near, &user, NULL, classes);
    neap_wire_start(far, &user, NULL, classes);
    memset(arrived, 0, sizeof arrived);
    read_code = 1;
    return 0;
}

static void drop_arrived(void) {
    for (unsigned i = 0; i < wanted; i++)
        if (arrived[i] != NULL) neap_object_unref(arrived[i]);
    wanted = 0;
}

/* Nothing that was under way is left open. */
static int drop(void **state) {
    drop_arrived();
    neap_wire_unref(near);
    neap_wire_unref(far);
    assert_int_equal(count_descriptors(), before);
    return tear_down(state);
}

/* Sends the object `count` times in one frame; the packer's code. */
static int pass(struct neap_object *object, unsigned count, bool late) {
    struct neap_packer packer;
    neap_packer_init(&packer, near);
    packer.is_late = late;
    for (unsigned i = 0; i < count; i++) neap_passing_pack(&packer, object);
    int code = neap_packer_send(&packer, 1);
    assert_true(code == 0 || code == NEAP_NOMEM || packer.obstacle == object);
    neap_packer_fini(&packer);
    return code;
}

static int deliver(struct neap_object *object, unsigned count, bool late) {
    int code = pass(object, count, late);
    wanted = count;
    if (code == 0) neap_wire_pump(far);
    return code;
}

static struct neap_listener *there(unsigned i) { return (struct neap_listener *)arrived[i]; }

/* --- tests --- */

static void each_side_has_a_listener_of_its_own(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    assert_int_equal(deliver(&own->object, 1, false), 0);
    assert_int_equal(read_code, 0);
    assert_ptr_not_equal(there(0), own);
    assert_int_equal(port_of(there(0)), port_of(own));
    assert_true(neap_listener_close(own));
    assert_int_equal(connect_to(there(0)), 0);
    int connection = -1;
    assert_int_equal(neap_listener_accept(there(0), &connection, NULL), 0);
    close(connection);
    assert_int_equal(neap_listener_accept(there(0), &connection, NULL), UV_EAGAIN);
    assert_true(neap_listener_close(there(0)));
    assert_false(neap_listener_close(there(0)));
    assert_int_equal(connect_to(own), UV_ECONNREFUSED);
    neap_object_unref(&own->object);
}

static void one_that_was_never_sent_refuses_whoever_has_a_duplicate(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    int fd = -1;
    assert_int_equal(neap_listener_duplicate(own, &fd), 0);
    neap_listener_close(own);
    assert_int_equal(connect_to(own), UV_ECONNREFUSED);
    close(fd);
    assert_int_equal(neap_listener_duplicate(own, &fd), NEAP_CLOSED);
    neap_object_unref(&own->object);
}

static void a_closed_one_arrives_closed(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    int connection = -1;
    neap_listener_close(own);
    assert_int_equal(deliver(&own->object, 1, false), 0);
    assert_int_equal(read_code, 0);
    assert_true(neap_listener_is_closed(there(0)));
    assert_int_equal(neap_listener_accept(there(0), &connection, NULL), NEAP_CLOSED);
    neap_object_unref(&own->object);
}

static void what_has_to_stay_is_named_and_goes_without_when_it_is_too_late(void **state) {
    (void)state;
    struct neap_object *rooted = new_thing(&rooted_class);
    assert_int_equal(pass(rooted, 1, false), UV_ENOTSUP);
    arrival = NEAP_RANGE;
    assert_int_equal(deliver(rooted, 1, true), 0);
    assert_int_equal(read_code, UV_EPROTO);
    neap_object_unref(rooted);
}

static void too_many_are_refused_or_go_without_when_it_is_too_late(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    int connection = -1;
    assert_int_equal(pass(&own->object, NEAP_WIRE_FDS_MAX, false), UV_EMSGSIZE);
    assert_int_equal(deliver(&own->object, NEAP_WIRE_FDS_MAX - 1, false), 0);
    assert_int_equal(read_code, 0);
    drop_arrived();
    assert_int_equal(deliver(&own->object, NEAP_WIRE_FDS_MAX + 3, true), 0);
    assert_int_equal(read_code, 0);
    for (unsigned i = 0; i < NEAP_WIRE_FDS_MAX + 3; i++)
        assert_int_equal(neap_listener_accept(there(i), &connection, NULL),
                         i < NEAP_WIRE_FDS_MAX - 1 ? UV_EAGAIN : UV_EMSGSIZE);
    neap_object_unref(&own->object);
}

static void a_receiver_without_descriptors_gets_the_rest_and_the_reason(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    struct rlimit limit, none;
    int connection = -1, next = dup(STDERR_FILENO);
    close(next);
    assert_int_equal(pass(&own->object, 3, false), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    wanted = 3;
    neap_wire_pump(far);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(read_code, 0);
    assert_int_equal(neap_listener_accept(there(0), &connection, NULL), UV_EAGAIN);
    assert_int_equal(neap_listener_accept(there(1), &connection, NULL), UV_EMFILE);
    assert_int_equal(neap_listener_accept(there(2), &connection, NULL), UV_EMFILE);

    /* passed on, it says the same over there */
    struct neap_object *lost = neap_object_ref(arrived[1]);
    drop_arrived();
    assert_int_equal(deliver(lost, 1, false), 0);
    assert_int_equal(neap_listener_accept(there(0), &connection, NULL), UV_EMFILE);
    neap_object_unref(lost);
    neap_object_unref(&own->object);
}

static void one_that_cannot_be_made_leaves_nothing(void **state) {
    static const int codes[][2] = {{NEAP_NOMEM, NEAP_NOMEM}, {NEAP_RANGE, UV_EPROTO}};
    (void)state;
    struct neap_object *lost = new_thing(&lost_class);
    for (int i = 0; i < 2; i++) {
        int open = count_descriptors();
        arrival = codes[i][0];
        assert_int_equal(deliver(lost, 1, false), 0);
        assert_int_equal(read_code, codes[i][1]);
        assert_null(arrived[0]);
        assert_int_equal(count_descriptors(), open);
    }
    neap_object_unref(lost);
}

/* A frame of our own making: the class of `number`, `code`, and `fd` unless it is -1. */
static void send_frame(uint8_t number, int code, int fd) {
    struct neap_packer packer;
    neap_packer_init(&packer, near);
    neap_pack_u8(&packer, number);
    neap_pack_u32(&packer, (uint32_t)code);
    if (fd >= 0) neap_pack_fd(&packer, fd);
    assert_int_equal(neap_packer_send(&packer, 1), 0);
    neap_packer_fini(&packer);
    wanted = 1;
    neap_wire_pump(far);
    assert_int_equal(read_code, UV_EPROTO);
    assert_null(arrived[0]);
    wanted = 0;
}

static void what_makes_no_sense_is_an_error(void **state) {
    (void)state;
    int open = count_descriptors();
    send_frame(0, 0, -1);                  /* without its descriptor */
    send_frame(0, 0, dup(STDERR_FILENO));  /* which is no listener's */
    send_frame(0, 5, dup(STDERR_FILENO));  /* for a reason that is none */
    send_frame(3, 0, dup(STDERR_FILENO));  /* of a class that is not sent so */
    send_frame(77, 0, dup(STDERR_FILENO)); /* of none */
    assert_int_equal(count_descriptors(), open);
}

/* drop looks whether they are closed: those in the socket, and those in frames that found no room. */
static void those_that_nobody_receives_end_with_the_wire(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    int sent = 0;
    while (!neap_backlog_has_some(&near->backlog) && sent < 100000) {
        assert_int_equal(pass(&own->object, 3, false), 0);
        sent++;
    }
    for (int i = 0; i < 5; i++) assert_int_equal(pass(&own->object, 2, false), 0);
    assert_true(neap_backlog_has_some(&near->backlog));
    neap_object_unref(&own->object);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    struct neap_listener *own = new_listener();
    int open;
    for (failing = 0, read_code = 1; read_code != 0; failing++) {
        open = count_descriptors();
        assert_int_equal(deliver(&own->object, 5, false), 0);
        assert_int_equal(read_code, failing < 5 ? NEAP_NOMEM : 0);
        drop_arrived();
        memset(arrived, 0, sizeof arrived);
        assert_int_equal(count_descriptors(), open);
    }
    failing = -1;
    for (long after = 0; after < 3; after++) { /* a frame that outgrows its first room */
        neap_memory_fail_after(after);
        int code = pass(&own->object, 200, true);
        neap_memory_fail_after(-1);
        assert_true(code == 0 || code == NEAP_NOMEM);
        if (code != 0) assert_int_equal(count_descriptors(), open);
    }
    neap_object_unref(&own->object);
}

#define PASSING(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest passing[] = {
        PASSING(each_side_has_a_listener_of_its_own),
        PASSING(one_that_was_never_sent_refuses_whoever_has_a_duplicate),
        PASSING(a_closed_one_arrives_closed),
        PASSING(what_has_to_stay_is_named_and_goes_without_when_it_is_too_late),
        PASSING(too_many_are_refused_or_go_without_when_it_is_too_late),
        PASSING(a_receiver_without_descriptors_gets_the_rest_and_the_reason),
        PASSING(one_that_cannot_be_made_leaves_nothing),
        PASSING(what_makes_no_sense_is_an_error),
        PASSING(those_that_nobody_receives_end_with_the_wire),
        PASSING(every_allocation_may_fail),
    };
    return run_once(passing);
}
