#include "host/backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "host/wire_lane.h"

enum { SPARES = 8 /* frames that are told without memory, at a time */ };

struct neap_backlog_frame {
    struct neap_backlog_frame *next;
    struct neap_wire_header header;
    bool spare;                 /* it goes back to the spares; with room for NEAP_WIRE_TOLD bytes. Constant */
    int fds[NEAP_WIRE_FDS_MAX]; /* owned */
    char bytes[];
};

static void set_has_some(struct neap_backlog *backlog, bool has_some) {
    atomic_store_explicit(&backlog->has_some, has_some, memory_order_relaxed);
}

static void free_spares(struct neap_backlog *backlog) {
    while (backlog->spares != NULL) {
        struct neap_backlog_frame *next = backlog->spares->next;
        neap_free(backlog->spares);
        backlog->spares = next;
    }
}

int neap_backlog_init(struct neap_backlog *backlog) {
    backlog->first = backlog->last = backlog->spares = NULL;
    atomic_init(&backlog->has_some, false);
    for (int i = 0; i < SPARES; i++) {
        struct neap_backlog_frame *frame = neap_alloc(sizeof *frame + NEAP_WIRE_TOLD);
        if (frame == NULL) {
            free_spares(backlog);
            return NEAP_NOMEM;
        }
        frame->spare = true;
        frame->next = backlog->spares;
        backlog->spares = frame;
    }
    return 0;
}

void neap_backlog_fini(struct neap_backlog *backlog) {
    neap_backlog_clear(backlog);
    free_spares(backlog);
}

static void free_frame(struct neap_backlog *backlog, struct neap_backlog_frame *frame) {
    for (int i = 0; i < frame->header.fds; i++) close(frame->fds[i]);
    if (!frame->spare) {
        neap_free(frame);
        return;
    }
    frame->next = backlog->spares;
    backlog->spares = frame;
}

static void push(struct neap_backlog *backlog, struct neap_backlog_frame *frame) {
    frame->next = NULL;
    if (backlog->first == NULL)
        backlog->first = frame;
    else
        backlog->last->next = frame;
    backlog->last = frame;
    set_has_some(backlog, true);
}

int neap_backlog_add(struct neap_backlog *backlog, const struct neap_wire_header *header, const struct iovec *pieces,
                     unsigned count, const int *fds) {
    struct neap_backlog_frame *frame = neap_alloc(sizeof *frame + header->size);
    if (frame == NULL) return NEAP_NOMEM;
    frame->spare = false;
    frame->header = *header;
    frame->header.fds = 0;
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) memcpy(frame->bytes + at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    for (; frame->header.fds < header->fds; frame->header.fds++) {
        int fd = fcntl(fds[frame->header.fds], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            int code = -errno;
            free_frame(backlog, frame);
            return code;
        }
        frame->fds[frame->header.fds] = fd;
    }
    push(backlog, frame);
    return 0;
}

bool neap_backlog_add_told(struct neap_backlog *backlog, const struct neap_wire_header *header,
                           const struct iovec *piece) {
    struct neap_backlog_frame *frame = backlog->spares;
    if (frame == NULL) return false;
    backlog->spares = frame->next;
    frame->header = *header;
    memcpy(frame->bytes, piece->iov_base, piece->iov_len);
    push(backlog, frame);
    return true;
}

const struct neap_wire_header *neap_backlog_first(const struct neap_backlog *backlog, struct iovec *piece,
                                                  const int **fds) {
    struct neap_backlog_frame *frame = backlog->first;
    piece->iov_base = frame->bytes;
    piece->iov_len = frame->header.size;
    *fds = frame->fds;
    return &frame->header;
}

void neap_backlog_remove(struct neap_backlog *backlog) {
    struct neap_backlog_frame *frame = backlog->first;
    backlog->first = frame->next;
    if (backlog->first == NULL) {
        backlog->last = NULL;
        set_has_some(backlog, false);
    }
    free_frame(backlog, frame);
}

void neap_backlog_clear(struct neap_backlog *backlog) {
    while (!neap_backlog_is_empty(backlog)) neap_backlog_remove(backlog);
}
