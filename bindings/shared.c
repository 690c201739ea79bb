#include "bindings/shared.h"

#include <lauxlib.h>
#include <stddef.h>
#include <uv.h>

#include "bindings/box.h"
#include "core/error.h"
#include "host/engine.h"

int neap_shared_fail(lua_State *L, int code) {
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    return luaL_error(L, "no shared memory: %s (%s)", uv_strerror(code), neap_code_name(code));
}

struct neap_array *neap_shared_array(lua_State *L, enum neap_handle kind, enum neap_type type, lua_Unsigned length) {
    struct neap_box *box = neap_box_new(L, kind, sizeof *box, 0);
    struct neap_cells *cells = neap_engine_cells(neap_vm_of(L)->engine);
    struct neap_array *array;
    if (cells == NULL || length > PTRDIFF_MAX / neap_types[type].size) neap_shared_fail(L, NEAP_NOMEM);
    int code = neap_array_new(cells, neap_bindings[kind]->class, type, (size_t)length, &array);
    if (code < 0) neap_shared_fail(L, code);
    box->object = &array->mapped.object;
    neap_box_account(L, (size_t)length * neap_types[type].size);
    return array;
}

int neap_shared_eq(lua_State *L) {
    const struct neap_object *one = neap_box_test_any(L, 1, NULL), *other = neap_box_test_any(L, 2, NULL);
    bool is_mapped = one != NULL && other != NULL && one->class == other->class && one->class->adopt != NULL;
    lua_pushboolean(L, is_mapped &&
                           neap_mapped_are_same((const struct neap_mapped *)one, (const struct neap_mapped *)other));
    return 1;
}
