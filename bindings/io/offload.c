#include "bindings/io/offload.h"

#include <lauxlib.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "core/memory.h"

void *neap_offload_push(lua_State *L, size_t size, int (*run)(struct neap_offload *offload),
                        void (*fini)(struct neap_offload *offload)) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_OFFLOAD, sizeof *box, 0);
    struct neap_offload *offload = neap_alloc_zeroed(size);
    if (offload == NULL) luaL_error(L, "not enough memory");
    neap_offload_init(offload, run, fini);
    box->object = &offload->object;
    return offload;
}

int neap_offload_await(lua_State *L, struct neap_offload *offload, int64_t deadline, neap_finish finish) {
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &offload->object;
    task->link.op = NEAP_OFFLOAD_END;
    return neap_await(L, &task->link, 1, deadline, finish);
}

static const luaL_Reg none[] = {{NULL, NULL}};

const struct neap_binding neap_offload_binding = {
    .name = "offload",
    .class = &neap_offload_class,
    .methods = none,
    .stays = true,
};
