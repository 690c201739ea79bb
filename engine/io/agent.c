/* agent: libcurl on our loop.
 *
 * MODEL      libcurl does no waiting of its own. It says which sockets it waits for, and how long at most;
 *            libuv looks at those sockets, and whenever one is ready, or the time is over, libcurl is called
 *            and moves on whatever can be moved. So one thread does as many errands as it has descriptors.
 *            Connections stay open for those that follow.
 * CALLBACKS  libcurl calls us from within its functions, and must not be called again there. So what a callback
 *            finds out is noted, and done when the function has returned (`settle`). No Lua runs in a callback: who
 *            waits is put on the run queue.
 * TIMER      It is kept by libuv in milliseconds, from a clock that is read afresh, and never rings early: libcurl
 *            would find nothing to do, and not ask for it again.
 * FAILED     A socket that cannot be watched fails the errand that it belongs to. libcurl
 *            itself would give up all of them.
 * HUNGRY     An answer may be complete while its request still waits for more to send. libcurl 7.88 does not see that
 *            before it asks for more: so it is made to ask, whenever a socket has had something, or something has come.
 * IDLE       libcurl waits for no socket of a connection that nobody uses, so that these keep no loop alive. */
#include "io/agent.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

enum { IDLE_CONNECTIONS = 128 /* that are kept for who comes next */ };

/* A socket that libcurl waits for. */
struct socket_watch {
    uv_poll_t poll; /* first */
    struct neap_agent *agent;
};

static void free_handle(uv_handle_t *handle) { neap_free(handle); }

/* --- after libcurl --- */

static void end(struct neap_agent *agent, struct neap_errand *errand, CURLcode code) {
    agent->curl.multi_remove_handle(agent->multi, errand->easy);
    errand->under_way = false;
    neap_list_remove(&errand->node);
    neap_list_remove(&errand->hunger);
    errand->ended(errand, code);
}

static struct neap_errand *errand_of(struct neap_agent *agent, CURL *easy) {
    struct neap_errand *errand = NULL;
    agent->curl.easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&errand);
    return errand;
}

/* Does what callbacks have left to be done. */
static void settle(struct neap_agent *agent) {
    struct neap_list *node;
    CURLMsg *message;
    int left;
    while ((message = agent->curl.multi_info_read(agent->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE) end(agent, errand_of(agent, message->easy_handle), message->data.result);
    while ((node = neap_list_pop_front(&agent->failed)) != NULL)
        end(agent, NEAP_CONTAINER_OF(node, struct neap_errand, node), CURLE_OUT_OF_MEMORY);
}

static void move_on(struct neap_agent *agent, curl_socket_t fd, int events) {
    int running;
    agent->curl.multi_socket_action(agent->multi, fd, events, &running);
    settle(agent);
}

/* See HUNGRY. Each once: who goes on being hungry is in the list again. `all`: not only those for whom something has
 * come. */
static void look_again(struct neap_agent *agent, bool all) {
    struct neap_list hungry;
    neap_list_init(&hungry);
    for (struct neap_list *node; (node = neap_list_pop_front(&agent->hungry)) != NULL;)
        neap_list_push_back(&hungry, node);
    for (struct neap_list *node; (node = neap_list_pop_front(&hungry)) != NULL;) {
        struct neap_errand *errand = NEAP_CONTAINER_OF(node, struct neap_errand, hunger);
        if (!all && !errand->has_news) {
            neap_list_push_back(&agent->hungry, node);
            continue;
        }
        errand->has_news = false;
        errand->look_again(errand);
    }
}

/* --- time --- */

/* It may have found that a socket was ready, too. */
static void on_time(uv_timer_t *timer) {
    struct neap_agent *agent = timer->data;
    move_on(agent, CURL_SOCKET_TIMEOUT, 0);
    look_again(agent, false);
}

/* For libcurl. */
static int set_timer(CURLM *multi, long milliseconds, void *context) {
    struct neap_agent *agent = context;
    (void)multi;
    if (milliseconds < 0) return uv_timer_stop(agent->timer);
    uv_update_time(agent->timer->loop);
    return uv_timer_start(agent->timer, on_time, milliseconds == 0 ? 0 : (uint64_t)milliseconds + 1, 0);
}

/* --- sockets --- */

static void on_socket(uv_poll_t *poll, int status, int events) {
    struct neap_agent *agent = ((struct socket_watch *)poll)->agent;
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)poll, &fd) != 0) return;
    int ready = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    move_on(agent, fd, status < 0 ? CURL_CSELECT_ERR : ready);
    look_again(agent, true);
}

static struct socket_watch *open_watch(struct neap_agent *agent, curl_socket_t fd) {
    struct socket_watch *watch = neap_alloc(sizeof *watch);
    if (watch == NULL) return NULL;
    if (uv_poll_init(agent->timer->loop, &watch->poll, fd) != 0) {
        neap_free(watch);
        return NULL;
    }
    watch->agent = agent;
    agent->curl.multi_assign(agent->multi, fd, watch);
    return watch;
}

/* For libcurl. `known` is the watch of that socket, if it has one. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
    struct neap_agent *agent = context;
    struct socket_watch *watch = known;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) uv_close((uv_handle_t *)&watch->poll, free_handle);
        return 0;
    }
    if (watch == NULL) watch = open_watch(agent, fd);
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (watch == NULL || uv_poll_start(&watch->poll, events, on_socket) != 0) {
        struct neap_errand *errand = errand_of(agent, easy);
        bool ours = errand != NULL; /* libcurl has handles of its own, as to end connections with */
        if (ours && !neap_list_is_linked(&errand->node)) neap_list_push_back(&agent->failed, &errand->node);
    }
    return 0;
}

/* --- errands --- */

bool neap_agent_begin(struct neap_agent *agent, struct neap_errand *errand) {
    neap_list_init(&errand->node);
    neap_list_init(&errand->hunger);
    errand->has_news = false;
    if (agent->curl.easy_setopt(errand->easy, CURLOPT_PRIVATE, errand) != CURLE_OK) return false;
    errand->under_way = agent->curl.multi_add_handle(agent->multi, errand->easy) == CURLM_OK;
    return errand->under_way;
}

void neap_agent_drop(struct neap_agent *agent, struct neap_errand *errand) {
    if (!errand->under_way) return;
    agent->curl.multi_remove_handle(agent->multi, errand->easy);
    errand->under_way = false;
    neap_list_remove(&errand->node);
    neap_list_remove(&errand->hunger);
    settle(agent);
}

void neap_agent_note_hunger(struct neap_agent *agent, struct neap_errand *errand) {
    if (!neap_list_is_linked(&errand->hunger)) neap_list_push_back(&agent->hungry, &errand->hunger);
}

void neap_agent_resume(struct neap_agent *agent, struct neap_errand *errand, int directions) {
    NEAP_ASSERT(errand->under_way, "what has ended cannot go on");
    neap_list_remove(&errand->hunger);
    CURLcode code = agent->curl.easy_pause(errand->easy, directions);
    if (code != CURLE_OK) end(agent, errand, code);
    settle(agent);
}

/* --- the agent --- */

static void close_timer(struct neap_agent *agent) { uv_close((uv_handle_t *)agent->timer, free_handle); }

static int open_timer(struct neap_agent *agent) {
    uv_loop_t *uv = neap_loop_uv(agent->loop);
    agent->timer = uv != NULL ? neap_alloc(sizeof *agent->timer) : NULL;
    if (agent->timer == NULL) return NEAP_NOMEM;
    uv_timer_init(uv, agent->timer);
    agent->timer->data = agent;
    return 0;
}

/* libcurl opens a pair of sockets for a multi handle, which it does not tell us, and which programs would inherit.
 * They are the first two descriptors that are free. Where another thread takes one meanwhile, it is marked in vain. */
static CURLM *make_multi(const struct neap_curl *curl) {
    int next[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};
    for (int i = 0; i < 2; i++)
        if (next[i] >= 0) close(next[i]);
    CURLM *multi = curl->multi_init();
    for (int i = 0; i < 2; i++)
        if (next[i] >= 0) fcntl(next[i], F_SETFD, FD_CLOEXEC);
    return multi;
}

static int open_multi(struct neap_agent *agent) {
    const struct neap_curl *curl = &agent->curl;
    agent->multi = make_multi(curl);
    if (agent->multi == NULL) return NEAP_NOMEM;
    curl->multi_setopt(agent->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl->multi_setopt(agent->multi, CURLMOPT_TIMERDATA, agent);
    curl->multi_setopt(agent->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl->multi_setopt(agent->multi, CURLMOPT_SOCKETDATA, agent);
    curl->multi_setopt(agent->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
    return 0;
}

int neap_agent_new(struct neap_loop *loop, struct neap_agent **result) {
    struct neap_agent *agent = neap_alloc(sizeof *agent);
    if (agent == NULL) return NEAP_NOMEM;
    agent->loop = loop;
    neap_list_init(&agent->failed);
    neap_list_init(&agent->hungry);
    int code = neap_curl_load(&agent->curl);
    if (code == 0) code = open_timer(agent);
    if (code != 0) {
        neap_free(agent);
        return code;
    }
    code = open_multi(agent);
    if (code != 0) {
        close_timer(agent);
        neap_free(agent);
        return code;
    }
    neap_object_init(&agent->object, &neap_agent_class);
    *result = agent;
    return 0;
}

/* Errands keep the agent, so none is under way. */
static void destroy(struct neap_object *object) {
    struct neap_agent *agent = (struct neap_agent *)object;
    agent->curl.multi_cleanup(agent->multi);
    close_timer(agent);
    neap_free(agent);
}

static const char *const verbs[] = {""};

const struct neap_class neap_agent_class = {.name = "agent", .verbs = verbs, .destroy = destroy};
