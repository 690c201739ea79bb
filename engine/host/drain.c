/* drain: lines.
 *
 * LINES      What comes is collected until a line is whole, then written in one go, in the buffer that all
 *            threads of this process share. A line beyond LINE_MAX goes in pieces. What is unfinished when the
 *            process ends is written as it is.
 * HOSTS      Where a host takes what scripts print (engine->on_output) it is given the same pieces.
 * SLOW READERS   Who reads our own stdout may be slow; then the hub waits for him,
 *                as a thread of ours that prints does. */
#include "host/drain.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"
#include "host/screen.h"

enum {
    CHUNK = 16 * 1024,       /* bytes read at a time */
    LINE_MAX_SIZE = 1 << 20, /* bytes */
    PIPE_MAX = 1 << 20,      /* bytes: no pipe holds more */
    CHUNKS_PER_TURN = 8,     /* read before others have their turn */
    SIGNAL_STATUS = 128
};

static void on_stopped(struct neap_watch *watch) {
    struct neap_drain *drain = (struct neap_drain *)watch;
    close(drain->fd);
    neap_free(drain->line);
    neap_free(drain);
}

void neap_drain_stop(struct neap_drain *drain) {
    neap_list_remove(&drain->node);
    neap_watch_stop(&drain->watch, on_stopped);
}

/* Nobody reads our output: as where a script finds that out itself (libraries.c). */
static void note_error(const struct neap_drain *drain) {
    struct neap_engine *engine = drain->watch.hub->engine;
    int none = 0, error = errno != 0 ? errno : EIO;
    if (drain->target != stdout) return;
    atomic_compare_exchange_strong_explicit(&engine->output_error, &none, error, memory_order_relaxed,
                                            memory_order_relaxed);
    if (error == EPIPE) neap_engine_exit(engine, SIGNAL_STATUS + SIGPIPE);
}

/* Makes the unfinished line longer. False: it cannot be. */
static bool lengthen(struct neap_drain *drain, const char *bytes, size_t size) {
    if (size > drain->room - drain->used) {
        size_t room = (drain->used + size) * 2;
        char *line = neap_realloc(drain->line, room);
        if (line == NULL) return false;
        drain->line = line;
        drain->room = room;
    }
    if (size > 0) memcpy(drain->line + drain->used, bytes, size);
    drain->used += size;
    return true;
}

/* True: the host has taken it. A line in one piece, as long as there is memory. */
static bool give_to_host(struct neap_drain *drain, const char *bytes, size_t size) {
    struct neap_engine *engine = drain->watch.hub->engine;
    bool is_error = drain->target == stderr;
    if (engine->on_output == NULL) return false;
    if (drain->used == 0) return engine->on_output(engine, is_error, bytes, size);
    if (lengthen(drain, bytes, size)) size = 0;
    if (!engine->on_output(engine, is_error, drain->line, drain->used)) return false;
    drain->used = 0;
    return size == 0 || engine->on_output(engine, is_error, bytes, size);
}

static void write_out(struct neap_drain *drain, const char *bytes, size_t size) {
    if (size == 0 && drain->used == 0) return;
    if (give_to_host(drain, bytes, size)) return;
    struct neap_screen *screen = &drain->watch.hub->engine->screen;
    const char *last = size > 0 ? bytes + size : drain->line + drain->used;
    char end = last[-1];
    bool begun = neap_screen_begin(screen, drain->target);
    errno = 0;
    bool ok = drain->used == 0 || fwrite(drain->line, 1, drain->used, drain->target) == drain->used;
    ok = (size == 0 || fwrite(bytes, 1, size, drain->target) == size) && ok;
    ok = fflush(drain->target) == 0 && ok;
    drain->used = 0;
    if (!ok) note_error(drain);
    neap_screen_end(screen, drain->target, begun, end);
}

static void keep(struct neap_drain *drain, const char *bytes, size_t size) {
    if (drain->used + size > LINE_MAX_SIZE || !lengthen(drain, bytes, size)) write_out(drain, bytes, size);
}

static void deliver(struct neap_drain *drain, const char *bytes, size_t size) {
    const char *last = memrchr(bytes, '\n', size);
    size_t whole = last != NULL ? (size_t)(last - bytes) + 1 : 0;
    if (whole > 0) write_out(drain, bytes, whole);
    keep(drain, bytes + whole, size - whole);
}

/* At most `limit` bytes or a little more. False: nobody can write to it any more. */
static bool take(struct neap_drain *drain, size_t limit) {
    char bytes[CHUNK];
    for (size_t taken = 0; taken < limit;) {
        ssize_t size = read(drain->fd, bytes, sizeof bytes);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
        if (size <= 0) return false;
        deliver(drain, bytes, (size_t)size);
        taken += (size_t)size;
        if ((size_t)size < sizeof bytes && limit < PIPE_MAX) return true;
    }
    return true;
}

static void on_ready(struct neap_watch *watch) {
    struct neap_drain *drain = (struct neap_drain *)watch;
    if (take(drain, (size_t)CHUNKS_PER_TURN * CHUNK)) return;
    write_out(drain, NULL, 0);
    if (drain->is_alone)
        neap_drain_stop(drain);
    else
        neap_watch_pause(watch);
}

int neap_drain_start(struct neap_hub *hub, int fd, FILE *target, struct neap_drain **made) {
    struct neap_drain *drain = neap_alloc_zeroed(sizeof *drain);
    if (drain == NULL) return NEAP_NOMEM;
    drain->fd = fd;
    drain->target = target;
    int code = neap_watch_start(&drain->watch, hub, fd, on_ready);
    if (code != 0) {
        neap_free(drain);
        return code;
    }
    neap_list_push_back(&hub->drains, &drain->node);
    *made = drain;
    return 0;
}

void neap_drain_finish(struct neap_drain *drain) {
    bool open = take(drain, PIPE_MAX);
    write_out(drain, NULL, 0);
    if (open)
        drain->is_alone = true;
    else
        neap_drain_stop(drain);
}
