#include "io/offload.h"

#include <netdb.h>
#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

void neap_offload_init(struct neap_offload *offload, int (*run)(struct neap_offload *offload),
                       void (*fini)(struct neap_offload *offload)) {
    neap_object_init(&offload->object, &neap_offload_class);
    neap_list_init(&offload->waiting);
    offload->loop = NULL;
    offload->run = run;
    offload->fini = fini;
    offload->after = NULL;
    offload->code = 0;
    offload->begun = false;
    offload->ended = false;
}

static void end(struct neap_offload *offload, int code) {
    struct neap_batch batch = {NULL, NULL};
    offload->code = code;
    offload->ended = true;
    if (offload->after != NULL) offload->after(offload);
    neap_waiters_claim_all(&offload->waiting, 0, &batch);
    neap_batch_flush(&batch);
}

static void begun(struct neap_offload *offload, struct neap_loop *loop, int code) {
    NEAP_ASSERT(!offload->begun && !offload->ended, "a offload is begun once");
    offload->begun = code == 0;
    if (code != 0) {
        end(offload, code);
        return;
    }
    neap_object_ref(&offload->object);
    offload->loop = loop;
    loop->offloads++;
}

static void done(struct neap_offload *offload, int code) {
    offload->loop->offloads--;
    end(offload, code);
    neap_object_unref(&offload->object);
}

/* As neap_loop_open_uv. The threads of libuv are made for the first offload, and stay: see WHOSE in core/patience.c. */
static int open_uv(struct neap_loop *loop) {
    int code = neap_loop_open_uv(loop);
    if (code != 0 || loop->has_offloaded) return code;
    neap_loop_lose_patience();
    loop->has_offloaded = true;
    return 0;
}

/* --- work --- */

static void run_work(uv_work_t *work) {
    struct neap_offload *offload = NEAP_CONTAINER_OF(work, struct neap_offload, work);
    offload->code = offload->run(offload);
}

static void on_work(uv_work_t *work, int status) {
    struct neap_offload *offload = NEAP_CONTAINER_OF(work, struct neap_offload, work);
    done(offload, status != 0 ? status : offload->code);
}

void neap_offload_start(struct neap_offload *offload, struct neap_loop *loop) {
    int code = open_uv(loop);
    begun(offload, loop, code != 0 ? code : uv_queue_work(loop->uv, &offload->work, run_work, on_work));
}

/* --- names --- */

static void on_names(uv_getaddrinfo_t *names, int status, struct addrinfo *found) {
    (void)found; /* it stays in `names` */
    done(NEAP_CONTAINER_OF(names, struct neap_offload, names), status);
}

void neap_offload_resolve(struct neap_offload *offload, struct neap_loop *loop, const char *host, int family) {
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int code = open_uv(loop);
    begun(offload, loop, code != 0 ? code : uv_getaddrinfo(loop->uv, &offload->names, on_names, host, NULL, &hints));
}

void neap_offload_cancel(struct neap_offload *offload) {
    if (offload->begun && !offload->ended) uv_cancel(&offload->any);
}

/* --- the class --- */

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)link;
    (void)batch;
    return ((struct neap_offload *)object)->ended;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_offload *)object)->waiting, &link->node);
}

static void destroy(struct neap_object *object) {
    struct neap_offload *offload = (struct neap_offload *)object;
    if (offload->begun && offload->any.type == UV_GETADDRINFO) uv_freeaddrinfo(offload->names.addrinfo);
    if (offload->fini != NULL) offload->fini(offload);
    neap_free(offload);
}

static const char *const verbs[] = {"end"};

const struct neap_class neap_offload_class = {
    .name = "offload",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
};
