#include "bindings/running/listing.h"

#include <lauxlib.h>
#include <stddef.h>

#include "bindings/handle/box.h"
#include "bindings/state/registry.h"
#include "host/engine.h"

enum { FIRST_ROOM = 8 };

/* Jobs that were found alive; lies in a userdata, which drops the references. */
struct listing {
    int count, room;               /* of objects: found, allocated. `count` may be more than there is room for */
    struct neap_object *objects[]; /* a reference each */
};

static const char listing_key; /* registry: the metatable of listings */

static int listing_collected(lua_State *L) {
    struct listing *listing = lua_touserdata(L, 1);
    for (int i = 0; i < listing->count && i < listing->room; i++) neap_object_unref(listing->objects[i]);
    listing->count = 0;
    return 0;
}

static struct listing *push_listing(lua_State *L, int room) {
    neap_box_refuse_late(L, "list");
    struct listing *listing = lua_newuserdatauv(L, sizeof *listing + (size_t)room * sizeof listing->objects[0], 0);
    listing->count = 0;
    listing->room = room;
    neap_registry_set_end(L, &listing_key, listing_collected);
    return listing;
}

/* The engine's guard is held. */
static void note(struct neap_job *job, void *argument) {
    struct listing *listing = argument;
    if (neap_future_has_ended(&job->future)) return;
    if (listing->count < listing->room) listing->objects[listing->count] = neap_object_ref(&job->future.object);
    listing->count++;
}

int neap_listing_push(lua_State *L, void (*each)(struct neap_engine *engine,
                                                 void (*visit)(struct neap_job *job, void *argument), void *argument)) {
    struct neap_engine *engine = neap_vm_of(L)->engine;
    struct listing *listing = NULL;
    int top = lua_gettop(L);
    for (int room = FIRST_ROOM; listing == NULL || listing->count > listing->room; room = listing->count + FIRST_ROOM) {
        lua_settop(L, top);
        listing = push_listing(L, room);
        each(engine, note, listing);
    }
    lua_createtable(L, listing->count, 0);
    for (int i = 0; i < listing->count; i++) {
        neap_box_push(L, listing->objects[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}
