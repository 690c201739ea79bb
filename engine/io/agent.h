/* agent: what one loop asks other machines for with libcurl: its connections, and the errands that are under way. The
 * essay is in agent.c. Everything here is used by the loop's thread only. */
#ifndef NEAP_IO_AGENT_H
#define NEAP_IO_AGENT_H

#include <stdbool.h>
#include <uv.h>

#include "core/list.h"
#include "core/loop.h"
#include "core/object.h"
#include "io/curl.h"

struct neap_agent {
    struct neap_object object; /* first; local for good */
    struct neap_curl curl;     /* constant */
    struct neap_loop *loop;    /* constant */
    CURLM *multi;              /* owned */
    uv_timer_t *timer;         /* of the loop: when libcurl wants to be called. Freed by its close callback */
    struct neap_list failed;   /* errands whose sockets cannot be watched: see FAILED in agent.c */
    struct neap_list hungry;   /* errands that wait for more to send, and are being answered: see HUNGRY there */
};

/* Something that libcurl does. Lies in a record of whoever wants it, which stays where it is while it is under way. */
struct neap_errand {
    CURL *easy;              /* what is to be done; its private pointer leads here. Of who made it */
    struct neap_list node;   /* in agent->failed, or in none */
    struct neap_list hunger; /* in agent->hungry, or in none */
    bool has_news;           /* something has come since it was made to look */
    bool under_way;          /* begun, and has neither ended nor been dropped */
    /* It has ended, and may be done with as one likes. No function of libcurl that carries
     * something on may be called here. */
    void (*ended)(struct neap_errand *errand, CURLcode code);
    /* It is hungry, and something has come: neap_agent_resume is called, as if there were more to send. */
    void (*look_again)(struct neap_errand *errand);
};

/* One reference. NEAP_MISSING: there is no libcurl; UV_EMFILE and the like: it cannot be loaded now. */
int neap_agent_new(struct neap_loop *loop, struct neap_agent **result);

/* `easy` and `ended` are set. False: no memory, and nothing follows. */
bool neap_agent_begin(struct neap_agent *agent, struct neap_errand *errand);
/* Breaks it off: `ended` does not follow. Harmless when it is not under way. Not from within `ended`. */
void neap_agent_drop(struct neap_agent *agent, struct neap_errand *errand);
/* Where one of its callbacks has said that it pauses, `directions` (CURLPAUSE_*) are those that still do. */
void neap_agent_resume(struct neap_agent *agent, struct neap_errand *errand, int directions);

/* It waits for more to send, while an answer comes; until it is resumed. */
void neap_agent_note_hunger(struct neap_agent *agent, struct neap_errand *errand);

extern const struct neap_class neap_agent_class;

#endif
