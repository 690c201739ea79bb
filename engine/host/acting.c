#include "host/acting.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/owner.h"
#include "host/proxy.h"
#include "sync/barrier.h"

struct acting {
    struct neap_hold hold;
    struct neap_owner *owner; /* in whose list; constant once it is */
};

static struct acting *acting_of(struct neap_hold *hold) { return NEAP_CONTAINER_OF(hold, struct acting, hold); }

/* The owner ended: so does its hold over there, when it is told. */
static void abandon(struct neap_hold *hold) {
    neap_proxy_tell((struct neap_proxy *)hold->object, NEAP_BARRIER_FAIL, acting_of(hold)->owner, 0);
    neap_free(acting_of(hold));
}

int neap_acting_prepare(struct neap_link *link) {
    const struct neap_proxy *proxy = (struct neap_proxy *)link->object;
    link->hold = NULL;
    if (proxy->constants.numbers[1] == 0) return 0;
    struct acting *acting = neap_alloc(sizeof *acting);
    if (acting == NULL) return NEAP_NOMEM;
    neap_hold_init(&acting->hold);
    acting->hold.object = link->object;
    acting->hold.abandon = abandon;
    acting->owner = neap_wait_owner(link->wait);
    link->hold = &acting->hold;
    return 0;
}

void neap_acting_drop(struct neap_link *link) {
    if (link->hold != NULL) neap_free(acting_of(link->hold));
    link->hold = NULL;
}

void neap_acting_begin(struct neap_link *link) {
    const struct neap_proxy *proxy = (struct neap_proxy *)link->object;
    if (link->hold != NULL && link->number == proxy->constants.numbers[0])
        neap_owner_enter(neap_wait_owner(link->wait), link->hold);
    else
        neap_acting_drop(link);
}

void neap_acting_pass(struct neap_proxy *proxy, struct neap_owner *owner) {
    for (struct neap_hold *hold = owner->held; hold != NULL; hold = hold->next) {
        if (hold->object != &proxy->object || hold->abandon != abandon) continue;
        neap_owner_leave(hold); /* the caller has a reference of its own */
        neap_free(acting_of(hold));
        return;
    }
}

void neap_acting_end(struct neap_proxy *proxy, uint8_t method, struct neap_call *call) {
    neap_acting_pass(proxy, call->owner);
    neap_proxy_call(proxy, method, call);
}
