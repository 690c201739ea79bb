#include "processes.h"

#include <string.h>
#include <unistd.h>

#include "core/ticket.h"

static struct neap_makers makers;
static struct neap_board *board;
struct neap_wire *wires[LINKS][2];
struct neap_session *sessions[LINKS][2];
struct actor a, b, c;
static struct neap_cells *cells;

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    return neap_session_receive(wire->context, frame);
}

static void ended(struct neap_wire *wire, int code) {
    (void)code;
    neap_session_end(wire->context, "it was killed");
}

static void passed(struct neap_wire *wire) { neap_session_passed(wire->context); }

static const struct neap_wire_user user = {receive, ended, passed};

void deliver(void) {
    for (int round = 0; round < 6; round++)
        for (int i = 0; i < LINKS; i++)
            for (int end = 0; end < 2; end++)
                if (wires[i][end] != NULL) neap_wire_pump(wires[i][end]);
}

static void connect_ends(int i) {
    int socket;
    assert_int_equal(neap_wire_new(&wires[i][0], &socket), 0);
    assert_int_equal(neap_wire_open(socket, dup(wires[i][0]->segment->fd), &wires[i][1]), 0);
    for (int end = 0; end < 2; end++) {
        sessions[i][end] = neap_session_new(wires[i][end], board, &makers);
        assert_non_null(sessions[i][end]);
        sessions[i][end]->cells = cells;
        neap_wire_start(wires[i][end], &user, sessions[i][end], NULL);
        wires[i][end]->session = sessions[i][end];
    }
}

void kill_link(int i) {
    neap_wire_close(wires[i][0]);
    deliver();
}

int make_processes(void **state) {
    if (set_up(state) != 0) return -1;
    for (int kind = 0; kind < NEAP_KIND_COUNT; kind++)
        if (neap_proxy_classes[kind].name != NULL) makers.make[kind] = neap_proxy_make;
    if (neap_board_new(&board) != 0 || (cells = neap_cells_new()) == NULL) return -1;
    for (int i = 0; i < LINKS; i++) connect_ends(i);
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

int drop_processes(void **state) {
    deliver();
    for (int i = 0; i < LINKS; i++) neap_wire_close(wires[i][0]);
    deliver();
    for (int i = 0; i < LINKS; i++)
        for (int end = 0; end < 2; end++) {
            neap_session_unref(sessions[i][end]);
            neap_wire_unref(wires[i][end]);
        }
    neap_cells_close(cells);
    neap_board_free(board);
    return tear_down(state);
}

/* What `message` becomes on its way from one session to the other end's. */
static void carry(struct neap_session *from, struct neap_session *to, const struct neap_message *message,
                  struct neap_message *arrived) {
    struct neap_packer packer;
    struct neap_unpacker unpacker;
    neap_packer_init(&packer, from->wire);
    neap_pack_message(&packer, message);
    assert_int_equal(packer.code, 0);
    deliver(); /* what was sent before it: the memory that it mentions */
    const struct neap_wire_frame frame = {.bytes = packer.bytes, .size = packer.used};
    neap_unpacker_init(&unpacker, to->wire, &frame);
    neap_message_clear(arrived);
    neap_unpack_message(&unpacker, arrived);
    assert_int_equal(unpacker.code, 0);
    neap_packer_fini(&packer);
}

static void *cross(struct neap_session *from, struct neap_session *to, void *object) {
    struct neap_message message = {.kind = NEAP_MESSAGE_OBJECT}, arrived;
    message.object = object;
    carry(from, to, &message, &arrived);
    assert_int_equal(arrived.kind, NEAP_MESSAGE_OBJECT);
    return arrived.object;
}

void *away(void *object) { return cross(sessions[0][0], sessions[0][1], object); }

void *farther(void *object) {
    void *proxy = away(object), *next = cross(sessions[1][0], sessions[1][1], proxy);
    neap_object_unref(proxy);
    return next;
}

void *beside(void *object) { return cross(sessions[1][0], sessions[1][1], object); }

void *home(void *proxy) { return cross(sessions[0][1], sessions[0][0], proxy); }

void unref(void *object) { neap_object_unref(object); }

struct neap_channel *new_channel(size_t capacity) {
    return made(neap_channel_new(capacity));
}

int after(struct actor *actor) {
    deliver();
    settle(&here);
    deliver();
    return outcome(actor);
}

void send_now(struct actor *actor, void *channel, int64_t value) {
    add_link(actor, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(value);
    start_links(actor, 1, NEAP_FOREVER);
    assert_int_equal(after(actor), 0);
}

int64_t received(struct actor *actor) { return value_of(&actor->links[0].message); }
