/* file_watch: inotify, an instance for each watch.
 *
 * MODEL      The queue is the kernel's: it is bounded, drops equal events that follow each other, and says when it
 *            had to drop others. Nothing is read before somebody asks, so a flood that nobody looks at costs no
 *            memory and no time here. libuv's own uv_fs_event shares one instance among all of a loop, does not hand
 *            on that events are missing, and calls all but changes of bytes a renaming; hence the descriptor is read
 *            here, and only polled by libuv.
 * FILES      One file is watched by its name in its folder, not by its inode: who writes a file whole, as editors and
 *            neap.fs.write do, puts another in its place.
 * RENAMING   Is two events, for the kernel may be between the two when they are read: they have its cookie in common.
 * INVARIANTS 1. libuv looks at the descriptor only while links wait, so that a watch that nobody waits on
 *            keeps no loop from being idle.
 *            2. A closed watch has no waiting links. */
#include "io/file_watch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    OF_ENTRIES = IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVE,
    OF_FOLDER = IN_DELETE_SELF | IN_MOVE_SELF,
    HOW = IN_ONLYDIR | IN_EXCL_UNLINK
};

/* --- records --- */

/* The first record that has not been taken; NULL: the kernel has none now. */
static const struct inotify_event *peek(struct neap_file_watch *watch) {
    if (watch->at == watch->size) {
        ssize_t size;
        do size = read(watch->fd, watch->buffer, sizeof watch->buffer);
        while (size < 0 && errno == EINTR);
        watch->at = 0;
        watch->size = size > 0 ? (size_t)size : 0;
        if (size <= 0) return NULL;
    }
    return (const struct inotify_event *)(const void *)(watch->buffer + watch->at);
}

static void take(struct neap_file_watch *watch, const struct inotify_event *event) {
    watch->at += sizeof *event + event->len;
}

static bool is_change(const struct inotify_event *event) {
    return event->len > 0 && (event->mask & (IN_MODIFY | IN_ATTRIB)) != 0;
}

/* Does the same follow, among what has been read? */
static bool is_repeated(const struct neap_file_watch *watch, const struct inotify_event *event) {
    size_t next = watch->at + sizeof *event + event->len;
    if (next == watch->size || !is_change(event)) return false;
    const struct inotify_event *other = (const struct inotify_event *)(const void *)(watch->buffer + next);
    return is_change(other) && strcmp(event->name, other->name) == 0;
}

/* Is it told of? */
static bool matters(const struct neap_file_watch *watch, const struct inotify_event *event) {
    if (event->mask & IN_Q_OVERFLOW) return true;
    /* the file of a folder that was removed has been told of: only an empty folder can be */
    if (event->len == 0) return event->mask & (IN_MOVE_SELF | IN_UNMOUNT | (watch->only == NULL ? IN_DELETE_SELF : 0));
    return (watch->only == NULL || strcmp(watch->only, event->name) == 0) && !is_repeated(watch, event);
}

static bool is_last(const struct inotify_event *event) {
    return event->len == 0 && (event->mask & (OF_FOLDER | IN_UNMOUNT)) != 0;
}

/* Takes what does not matter up to the first that does. NULL: there is none now, or the watch has ended. */
static const struct inotify_event *find(struct neap_file_watch *watch) {
    const struct inotify_event *event = NULL;
    while (!neap_file_watch_is_closed(watch) && (event = peek(watch)) != NULL) {
        if (matters(watch, event)) return event;
        if (is_last(event)) watch->ended = true;
        take(watch, event);
    }
    return NULL;
}

static enum neap_file_event_kind kind_of(const struct inotify_event *event) {
    if (event->mask & IN_Q_OVERFLOW) return NEAP_FILE_OVERFLOW;
    if (event->mask & (IN_CREATE | IN_MOVED_TO)) return NEAP_FILE_CREATED;
    return is_change(event) ? NEAP_FILE_CHANGED : NEAP_FILE_REMOVED;
}

/* --- waiting --- */

static bool can_serve(struct neap_file_watch *watch) { return find(watch) != NULL || neap_file_watch_is_closed(watch); }

/* The name of `event`, into an empty message. */
static int set_name(struct neap_message *message, const struct inotify_event *event, const char *only) {
    const char *name = event->len > 0 ? event->name : only != NULL && !(event->mask & IN_Q_OVERFLOW) ? only : "";
    neap_message_set_text(message, name);
    bool cut = message->kind == NEAP_MESSAGE_TEXT && name[message->length] != '\0';
    if (cut) neap_message_clear(message);
    return cut ? NEAP_NOMEM : 0;
}

/* After can_serve. */
static void serve(struct neap_file_watch *watch, struct neap_link *link) {
    const struct inotify_event *event = find(watch);
    link->result = event == NULL ? NEAP_CLOSED : set_name(&link->message, event, watch->only);
    if (link->result != 0) return;
    link->number = (int64_t)event->cookie << 2 | kind_of(event);
    if (is_last(event)) watch->ended = true;
    take(watch, event);
}

static void stop_if_alone(struct neap_file_watch *watch) {
    if (watch->poll != NULL && neap_list_is_empty(&watch->waiters)) uv_poll_stop(watch->poll);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
    struct neap_file_watch *watch = handle->data;
    struct neap_batch batch = {NULL, NULL};
    (void)events;
    if (status < 0) watch->ended = true; /* libuv has stopped */
    while (!neap_list_is_empty(&watch->waiters) && can_serve(watch)) {
        struct neap_link *link = neap_waiters_claim(&watch->waiters);
        if (link == NULL) break;
        serve(watch, link);
        neap_batch_add(&batch, link->wait);
    }
    stop_if_alone(watch);
    if (batch.first != NULL) neap_batch_flush(&batch);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_file_watch *watch = (struct neap_file_watch *)object;
    (void)batch;
    if (!can_serve(watch)) return false;
    serve(watch, link);
    return true;
}

/* It cannot fail for a descriptor that libuv has accepted once. */
static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_file_watch *watch = (struct neap_file_watch *)object;
    NEAP_ASSERT(watch->poll != NULL, "file_watch 2: a closed watch has no waiting links");
    if (neap_list_is_empty(&watch->waiters)) uv_poll_start(watch->poll, UV_READABLE, on_ready);
    neap_list_push_back(&watch->waiters, &link->node);
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)link;
    (void)batch;
    stop_if_alone((struct neap_file_watch *)object);
}

/* --- opening and closing --- */

static void free_poll(uv_handle_t *handle) { neap_free(handle); }

/* A descriptor that tells of `folder`, or a code. */
static int open_instance(const char *folder) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return -errno;
    if (inotify_add_watch(fd, folder, OF_ENTRIES | OF_FOLDER | HOW) >= 0) return fd;
    int code = -errno;
    close(fd);
    return code;
}

/* Fills in what is to be freed; the caller does that after a code. */
static int init(struct neap_file_watch *watch, struct neap_loop *loop, const char *folder, const char *only) {
    int code = neap_loop_open_uv(loop);
    if (code != 0) return code;
    if (only != NULL) {
        size_t size = strlen(only) + 1;
        watch->only = neap_alloc(size);
        if (watch->only == NULL) return NEAP_NOMEM;
        memcpy(watch->only, only, size);
    }
    watch->poll = neap_alloc(sizeof *watch->poll);
    if (watch->poll == NULL) return NEAP_NOMEM;
    watch->fd = open_instance(folder);
    if (watch->fd < 0) return watch->fd;
    code = uv_poll_init(loop->uv, watch->poll, watch->fd);
    if (code != 0) close(watch->fd);
    return code;
}

int neap_file_watch_new(struct neap_loop *loop, const char *folder, const char *only, struct neap_file_watch **result) {
    struct neap_file_watch *watch = neap_alloc_zeroed(sizeof *watch);
    if (watch == NULL) return NEAP_NOMEM;
    int code = init(watch, loop, folder, only);
    if (code != 0) {
        neap_free(watch->poll);
        neap_free(watch->only);
        neap_free(watch);
        return code;
    }
    neap_object_init(&watch->object, &neap_file_watch_class);
    neap_list_init(&watch->waiters);
    watch->poll->data = watch;
    *result = watch;
    return 0;
}

bool neap_file_watch_close(struct neap_file_watch *watch) {
    struct neap_batch batch = {NULL, NULL};
    if (watch->poll == NULL) return false;
    uv_close((uv_handle_t *)watch->poll, free_poll);
    watch->poll = NULL;
    close(watch->fd);
    neap_waiters_claim_all(&watch->waiters, NEAP_CLOSED, &batch);
    if (batch.first != NULL) neap_batch_flush(&batch);
    return true;
}

static void destroy(struct neap_object *object) {
    struct neap_file_watch *watch = (struct neap_file_watch *)object;
    neap_file_watch_close(watch);
    neap_free(watch->only);
    neap_free(watch);
}

static const char *const verbs[] = {"next"};

const struct neap_class neap_file_watch_class = {
    .name = "watch",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .withdrawn = withdrawn,
};
