/* The link of two processes under a fuzzer: arbitrary bytes as what the other side has written into its ring. Whatever
 * they are, the frames in them are read as each kind of frame would be, or the wire ends. Code that comes along is not
 * run: bytecode is trusted, between a parent and its child. In front of half of them stands a sound frame that is too
 * large for the ring, so that what follows can mean the memory which that has brought.
 *
 * With DECODE_FUZZ_SEEDS=folder in the environment it writes a first corpus into that folder. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bindings/handle/classes.h"
#include "bindings/running/start.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/object.h"
#include "core/segment.h"
#include "host/packer.h"
#include "host/passing.h"
#include "host/wire.h"
#include "io/listener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { FRAMES_MAX = 128 * 1024, LARGE = 100 * 1024 }; /* bytes */

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct neap_message message = {.kind = NEAP_MESSAGE_EMPTY};
    struct neap_unpacker unpacker;
    neap_unpacker_init(&unpacker, wire, frame);
    struct neap_start *start = neap_start_unpack(&unpacker);
    if (start != NULL) neap_start_free(start);
    neap_unpacker_init(&unpacker, wire, frame);
    while (unpacker.code == 0) {
        neap_unpack_message(&unpacker, &message);
        neap_message_fini(&message);
    }
    neap_unpacker_init(&unpacker, wire, frame);
    struct neap_object *passed = neap_passing_unpack(&unpacker);
    if (passed != NULL) neap_object_unref(passed);
    neap_unpacker_init(&unpacker, wire, frame);
    neap_unpack_text(&unpacker);
    int fd = neap_unpack_fd(&unpacker);
    if (fd >= 0) close(fd);
    return true;
}

static void ended(struct neap_wire *wire, int code) {
    (void)wire;
    (void)code;
}

static const struct neap_wire_user user = {.receive = receive, .ended = ended};

/* Both ends. */
static struct neap_wire *make(struct neap_wire **far) {
    struct neap_wire *wire;
    int socket;
    if (neap_wire_new(&wire, &socket) != 0) abort();
    if (neap_wire_open(socket, dup(wire->segment->fd), far) != 0) abort();
    neap_wire_start(wire, &user, NULL, neap_packed_classes);
    neap_wire_start(*far, &user, NULL, neap_packed_classes);
    return wire;
}

static void send_large(struct neap_wire *far) {
    struct neap_packer packer;
    struct neap_message message;
    neap_message_set_kind(&message, NEAP_MESSAGE_BYTES);
    message.parcel = neap_parcel_new(LARGE, 0);
    if (message.parcel == NULL) abort();
    memset(message.parcel->bytes, 'l', LARGE);
    neap_packer_init(&packer, far);
    neap_pack_message(&packer, &message);
    if (neap_packer_send(&packer, 1) != 0) abort();
    neap_packer_fini(&packer);
    neap_message_fini(&message);
}

/* A sound start, and some messages, as they stand in a ring. */
static void write_seeds(const char *folder) {
    char path[4096];
    struct neap_wire *far, *wire = make(&far);
    struct neap_packer packer;
    struct neap_start *start = neap_start_new();
    if (start == NULL) abort();
    neap_message_set_text(&start->function, "a text that does not stand in the message itself");
    neap_message_set_text(&start->paths, "short");
    neap_packer_init(&packer, far);
    neap_start_pack(&packer, start);
    neap_packer_send(&packer, 1);
    neap_packer_fini(&packer);
    neap_start_free(start);
    neap_packer_init(&packer, far);
    neap_pack_text(&packer, "text");
    neap_pack_fd(&packer, dup(STDERR_FILENO));
    neap_packer_send(&packer, 2);
    neap_packer_fini(&packer);
    neap_packer_init(&packer, far);
    neap_pack_class(&packer, &neap_listener_class);
    neap_pack_u32(&packer, (uint32_t)NEAP_CLOSED);
    neap_packer_send(&packer, 3);
    neap_packer_fini(&packer);
    send_large(far);
    send_large(far);
    snprintf(path, sizeof path, "%s/frames", folder);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(wire->in.bytes, 1, 1024, file) != 1024) abort();
    fclose(file);
    neap_wire_unref(far);
    neap_wire_unref(wire);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    const char *folder = getenv("DECODE_FUZZ_SEEDS");
    if (folder != NULL) write_seeds(folder);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct neap_wire *far, *wire = make(&far);
    if (size > FRAMES_MAX) size = FRAMES_MAX;
    if (size > 0 && (data[size - 1] & 1) != 0) send_large(far);
    uint64_t published = far->out.at + size;
    if (size > 0) memcpy(wire->in.bytes + far->out.at, data, size);
    memcpy(wire->in.ring, &published, sizeof published); /* its tail comes first */
    if (size > 0 && (data[size - 1] & 2) != 0 && write(far->bell.socket, data, 1) != 1) abort();
    for (int i = 0; i < 3 && neap_wire_pump(wire); i++) {}
    neap_wire_unref(far);
    neap_wire_unref(wire);
    return 0;
}
