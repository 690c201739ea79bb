/* links: several links of one wait, for select.
 *
 * They are tried and enlisted while the guards of all their objects are held, taken in the order of addresses: all
 * cases are looked at in one moment. They are tried in random order, so that ready ones are served fairly. */
#ifndef NEAP_CORE_LINKS_H
#define NEAP_CORE_LINKS_H

#include <stdint.h>

struct neap_batch;
struct neap_link;

/* See neap_class.look. No guard held. */
void neap_links_look(const struct neap_link *links, uint32_t count);

/* Takes the guards of all objects, each once, in the order of addresses. Local ones have none. */
void neap_links_lock(struct neap_link *links, uint32_t count);
void neap_links_unlock(struct neap_link *links, uint32_t count);

/* All guards held. Tries the links in random order, each once, until one is served; its index, or NEAP_TIMEOUT. */
int neap_links_attempt(struct neap_link *links, uint32_t count, struct neap_batch *batch);

#endif
