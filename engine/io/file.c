#include "io/file.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/wait.h"

struct neap_file *neap_file_new(int fd, bool appends) {
    struct neap_file *file = neap_alloc_zeroed(sizeof *file);
    if (file == NULL) return NULL;
    neap_object_init(&file->object, &neap_file_class);
    neap_list_init(&file->turns);
    file->place = lseek(fd, 0, SEEK_CUR);
    file->fd = fd;
    file->appends = appends;
    return file;
}

static int shut(struct neap_file *file) {
    struct neap_batch batch = {NULL, NULL};
    int fd = file->fd;
    if (fd < 0) return 0;
    file->fd = -1;
    neap_inbox_fini(&file->inbox);
    neap_waiters_claim_all(&file->turns, NEAP_CLOSED, &batch);
    neap_batch_flush(&batch);
    return close(fd) == 0 ? 0 : -errno;
}

bool neap_file_is_free(const struct neap_file *file) {
    if (!file->busy) return true;
    return file->waiting != NULL && neap_list_is_empty(file->waiting) && neap_list_is_empty(&file->turns);
}

int neap_file_close(struct neap_file *file) {
    NEAP_ASSERT(neap_file_is_free(file), "nobody uses what is closed");
    if (!file->busy) return shut(file);
    file->closes = true;
    return 0;
}

bool neap_file_is_closed(const struct neap_file *file) { return file->fd < 0 || file->closes; }

bool neap_file_begin(struct neap_file *file) {
    if (file->busy) return false;
    file->busy = true;
    return true;
}

void neap_file_end(struct neap_file *file) {
    struct neap_batch batch = {NULL, NULL};
    NEAP_ASSERT(file->busy, "who ends a turn has it");
    file->waiting = NULL;
    if (file->closes) shut(file);
    struct neap_link *next = neap_waiters_claim(&file->turns);
    file->busy = next != NULL;
    if (next == NULL) return;
    neap_batch_add(&batch, next->wait);
    neap_batch_flush(&batch);
}

/* --- the class --- */

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_file *file = (struct neap_file *)object;
    (void)batch;
    if (file->fd < 0) link->result = NEAP_CLOSED;
    return file->fd < 0 || neap_file_begin(file);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_file *)object)->turns, &link->node);
}

static void destroy(struct neap_object *object) {
    struct neap_file *file = (struct neap_file *)object;
    shut(file);
    neap_free(file);
}

static const char *const verbs[] = {"use"};

const struct neap_class neap_file_class = {
    .name = "file",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
};
