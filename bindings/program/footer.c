#include "bindings/program/footer.h"

#include "bindings/state/vm.h"
#include "host/engine.h"

static int draw(lua_State *L) {
    size_t above_size, footer_size;
    const char *above = luaL_checklstring(L, 1, &above_size), *footer = luaL_checklstring(L, 2, &footer_size);
    if (neap_screen_draw(&neap_vm_of(L)->engine->screen, above, above_size, footer, footer_size) != 0)
        return luaL_error(L, "not enough memory");
    return 0;
}

static int size(lua_State *L) {
    int columns, rows;
    if (!neap_screen_size(&columns, &rows)) return 0;
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    return 2;
}

const luaL_Reg neap_footer_functions[] = {{"draw", draw}, {"size", size}, {NULL, NULL}};
