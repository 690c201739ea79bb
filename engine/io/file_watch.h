/* file_watch: what happens to a file, or to what is in a folder, for tasks of one
 * thread. The essay is in file_watch.c. */
#ifndef NEAP_IO_FILE_WATCH_H
#define NEAP_IO_FILE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "core/list.h"
#include "core/loop.h"
#include "core/object.h"
#include "core/wait.h"

/* Operations of a link. NEXT takes the next event: its result is 0, with the name in its message and the rest in its
 * number; NEAP_CLOSED: the watch was closed, or the folder is no longer where it was, and that has been told; or
 * NEAP_NOMEM, and the event is still there. */
enum neap_file_watch_op { NEAP_FILE_WATCH_NEXT };

enum neap_file_event_kind {
    NEAP_FILE_CREATED, /* it is there now: made, or moved to this name, perhaps in place of another */
    NEAP_FILE_CHANGED, /* its bytes, or what is known of it */
    NEAP_FILE_REMOVED, /* it has this name no more. An empty name: the folder itself */
    NEAP_FILE_OVERFLOW /* more has happened than the system keeps: any number of events is missing here. No name */
};

struct neap_file_watch {
    struct neap_object object; /* first; local for good: used by the loop's thread only */
    struct neap_list waiters;  /* links */
    uv_poll_t *poll; /* of the loop, active while there are waiters; freed by its close callback. NULL once closed */
    int fd;          /* inotify's; owned */
    bool ended;      /* nothing more can come */
    char *only;      /* constant: the one name that is told of; owned. NULL: all in the folder */
    size_t at, size; /* of the buffer: where the next record is, and where they end */
    _Alignas(8) char buffer[4096]; /* records of the kernel (struct inotify_event) that nobody has taken */
};

extern const struct neap_class neap_file_watch_class;

/* One reference to a watch of `folder`, of all that is directly in it or of the name `only` (NULL: all), from now on.
 * 0, NEAP_NOMEM, or what the system says: UV_ENOTDIR, UV_EMFILE and UV_ENOSPC (the user has as many as the system
 * allows). By the loop's thread, as all below. */
int neap_file_watch_new(struct neap_loop *loop, const char *folder, const char *only, struct neap_file_watch **result);
/* Who waits is answered NEAP_CLOSED. False: it was closed before. */
bool neap_file_watch_close(struct neap_file_watch *watch);

static inline bool neap_file_watch_is_closed(const struct neap_file_watch *watch) {
    return watch->poll == 0 || watch->ended;
}

/* What the served `link` has been told, beside the name. */
static inline enum neap_file_event_kind neap_file_event_kind(const struct neap_link *link) {
    return (enum neap_file_event_kind)(link->number & 3);
}
/* The number that the two events of a renaming have in common; 0: it is none. */
static inline int64_t neap_file_event_renaming(const struct neap_link *link) { return link->number >> 2; }

#endif
