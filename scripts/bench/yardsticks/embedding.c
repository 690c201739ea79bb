/* What a host pays, and what the same costs without neap.
 *
 * usage: embedding engine|state|call|pcall|round_trip|growth
 *   engine      an engine made, an empty script run, the engine freed: seconds
 *   state       luaL_newstate, luaL_openlibs, an empty script, lua_close: seconds
 *   call        neap_engine_call of a Lua function with two numbers: seconds
 *   pcall       lua_pcall of the same: seconds
 *   round_trip  a value from a thread of the host to a task and back: per second
 *   growth      bytes that are resident after 1,000 engines, more than after the first 100 */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../bindings/neap.h"
#include "timing.h"

enum { ENGINES = 2000, CALLS = 2000000, ROUND_TRIPS = 200000, WARM = 100 };

static void check(int code) {
    if (code == 0) return;
    fprintf(stderr, "%s\n", neap_error_name(code));
    exit(1);
}

static void use_engine(void) {
    struct neap_engine *engine;
    check(neap_engine_new(NULL, &engine));
    check(neap_engine_run_string(engine, ""));
    check(neap_engine_free(engine));
}

static void use_state(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    check(luaL_dostring(L, ""));
    lua_close(L);
}

static double time_of(void (*use)(void)) {
    for (int i = 0; i < WARM; i++) use();
    double begun = processor_time();
    for (int i = 0; i < ENGINES; i++) use();
    return (processor_time() - begun) / ENGINES;
}

static const char adding[] = "local a, b = ... return a + b";

static double time_call(void) {
    struct neap_engine *engine;
    struct neap_value arguments[2] = {neap_integer(0), neap_number(1.5)}, result;
    neap_function function;
    check(neap_engine_new(NULL, &engine));
    check(neap_engine_load_string(engine, adding, &function));
    double begun = processor_time();
    for (int i = 0; i < CALLS; i++) {
        arguments[0] = neap_integer(i);
        check(neap_engine_call(engine, function, arguments, 2, &result, 1));
    }
    double seconds = (processor_time() - begun) / CALLS;
    check(neap_engine_free(engine));
    return seconds;
}

static double time_pcall(void) {
    lua_State *L = luaL_newstate();
    double sum = 0;
    luaL_openlibs(L);
    check(luaL_loadstring(L, adding));
    double begun = processor_time();
    for (int i = 0; i < CALLS; i++) {
        lua_pushvalue(L, 1);
        lua_pushinteger(L, i);
        lua_pushnumber(L, 1.5);
        check(lua_pcall(L, 2, 1, 0));
        sum += lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    double seconds = (processor_time() - begun) / CALLS;
    lua_close(L);
    return sum > 0 ? seconds : 0;
}

static struct neap_object *to, *from;

static void start_echo(struct neap_engine *engine, void *argument) {
    struct neap_value value = neap_object_value(to);
    neap_function function;
    (void)argument;
    check(neap_engine_set(engine, "to", &value));
    value = neap_object_value(from);
    check(neap_engine_set(engine, "from", &value));
    check(
        neap_engine_load_string(engine, "local to, from = to, from for n in to:iter() do from:send(n) end", &function));
    check(neap_engine_spawn(engine, function, NULL, 0, NULL, NULL));
}

static double rate_of_round_trips(void) {
    struct neap_config config;
    struct neap_engine *engine;
    struct neap_value value, answer;
    neap_config_init(&config);
    config.drive = NEAP_DRIVE_THREAD;
    check(neap_channel_create(0, &to));
    check(neap_channel_create(0, &from));
    check(neap_engine_new(&config, &engine));
    check(neap_ask(engine, start_echo, NULL));
    double begun = real_time();
    for (int i = 0; i < ROUND_TRIPS; i++) {
        value = neap_integer(i);
        check(neap_channel_send(to, &value, NEAP_NO_TIMEOUT));
        check(neap_channel_recv(from, &answer, NEAP_NO_TIMEOUT));
    }
    double rate = ROUND_TRIPS / (real_time() - begun);
    check(neap_object_close(to));
    check(neap_engine_free(engine));
    return rate;
}

static double resident(void) {
    long pages = 0, skipped;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &skipped, &pages) != 2) exit(1);
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double growth(void) {
    for (int i = 0; i < WARM; i++) use_engine();
    resident(); /* what looking costs is not counted */
    double before = resident();
    for (int i = 0; i < 1000; i++) use_engine();
    double grown = resident() - before;
    return grown > 0 ? grown : 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    double number;
    if (strcmp(what, "engine") == 0)
        number = time_of(use_engine);
    else if (strcmp(what, "state") == 0)
        number = time_of(use_state);
    else if (strcmp(what, "call") == 0)
        number = time_call();
    else if (strcmp(what, "pcall") == 0)
        number = time_pcall();
    else if (strcmp(what, "round_trip") == 0)
        number = rate_of_round_trips();
    else if (strcmp(what, "growth") == 0)
        number = growth();
    else
        return 2;
    printf("%.17g\n", number);
    return 0;
}
