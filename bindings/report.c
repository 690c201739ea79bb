#include "bindings/report.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/codec.h"
#include "bindings/task.h"
#include "host/engine.h"

void neap_report_main(lua_State *L, const struct neap_outcome *outcome) {
    neap_decode(L, &outcome->value);
    neap_decode(L, &outcome->traceback);
    const char *text = luaL_tolstring(L, -2, NULL);
    fflush(stdout);
    fprintf(stderr, "neap: %s\n%s\n", text, lua_isstring(L, -2) ? lua_tostring(L, -2) : "");
    lua_pop(L, 3);
}

void neap_report_stragglers(struct neap_vm *vm) { (void)vm; fputs("neap: stragglers\n", stderr); }

void neap_report_deadlock(struct neap_loop *loop) {
    struct neap_vm *vm = loop->context;
    fputs("neap: deadlock\n", stderr);
    neap_engine_exit(vm->engine, 1);
}
