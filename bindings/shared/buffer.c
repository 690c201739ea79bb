#include <lauxlib.h>
#include <lualib.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/shared/shared.h"
#include "core/error.h"
#include "host/engine.h"
#include "sync/bytes.h"

static struct neap_bytes *test(lua_State *L, int index) {
    return (struct neap_bytes *)neap_box_test(L, index, NEAP_HANDLE_BUFFER);
}

static struct neap_bytes *check(lua_State *L) { return (struct neap_bytes *)neap_box_check(L, 1, NEAP_HANDLE_BUFFER); }

/* --- places --- */

/* Raises unless the `count` bytes from `first` (counted from 1) on lie inside. Returns the first one's offset. */
static size_t check_place(lua_State *L, const struct neap_bytes *bytes, lua_Integer first, size_t count) {
    size_t length = neap_bytes_length(bytes);
    size_t offset = (size_t)first - 1;
    if (first < 1 || offset > length || count > length - offset)
        luaL_error(L, "bytes %I to %I are out of bounds: the buffer has %I bytes", (LUAI_UACINT)first,
                   (LUAI_UACINT)((lua_Unsigned)first + count - 1), (LUAI_UACINT)length);
    return offset;
}

/* The bytes from argument `index` (by default the first) to the next argument (by default
 * the last); none where they cross. */
static size_t check_range(lua_State *L, const struct neap_bytes *bytes, int index, size_t *count) {
    lua_Integer first = neap_argument_integer_or(L, index, 1);
    lua_Integer last = neap_argument_integer_or(L, index + 1, (lua_Integer)neap_bytes_length(bytes));
    *count = first <= last ? (size_t)((lua_Unsigned)last - (lua_Unsigned)first) + 1 : 0;
    return check_place(L, bytes, first, *count);
}

/* The string, or the bytes of the buffer, in argument `index`. */
static const char *check_source(lua_State *L, int index, size_t *size) {
    const struct neap_bytes *source = test(L, index);
    if (source == NULL) {
        if (lua_type(L, index) != LUA_TSTRING) neap_argument_type_error(L, index, "string or buffer");
        return lua_tolstring(L, index, size);
    }
    *size = neap_bytes_length(source);
    return neap_bytes_at(source);
}

/* --- writing --- */

static void begin_writing(lua_State *L, struct neap_bytes *bytes) {
    if (!neap_bytes_begin_writing(bytes)) luaL_error(L, "the buffer is sealed: nobody can write to it any more");
}

static void copy(lua_State *L, struct neap_bytes *bytes, size_t offset, const char *source, size_t size) {
    begin_writing(L, bytes);
    memmove(neap_bytes_at(bytes) + offset, source, size); /* it may be a part of the same bytes */
    neap_bytes_end_writing(bytes);
}

/* b:write(position, string | buffer) -> position behind it */
static int buffer_write(lua_State *L) {
    struct neap_bytes *bytes = check(L);
    lua_Integer position = neap_argument_integer(L, 2);
    size_t size;
    const char *source = check_source(L, 3, &size);
    copy(L, bytes, check_place(L, bytes, position, size), source, size);
    lua_pushinteger(L, position + (lua_Integer)size);
    return 1;
}

static unsigned char check_byte(lua_State *L, int index) {
    int is_integer;
    lua_Integer byte = lua_tointegerx(L, index, &is_integer);
    if (!is_integer || lua_type(L, index) != LUA_TNUMBER || byte < 0 || byte > 255)
        luaL_error(L, "a byte is an integer from 0 to 255, not %s", luaL_tolstring(L, index, NULL));
    return (unsigned char)byte;
}

/* b:fill(byte[, first[, last]]) */
static int buffer_fill(lua_State *L) {
    struct neap_bytes *bytes = check(L);
    unsigned char byte = check_byte(L, 2);
    size_t count, offset = check_range(L, bytes, 3, &count);
    begin_writing(L, bytes);
    memset(neap_bytes_at(bytes) + offset, byte, count);
    neap_bytes_end_writing(bytes);
    return 0;
}

/* --- reading --- */

/* b:sub([first[, last]]), as string.sub */
static int buffer_sub(lua_State *L) {
    const struct neap_bytes *bytes = check(L);
    lua_Integer length = (lua_Integer)neap_bytes_length(bytes);
    lua_Integer first = neap_argument_integer_or(L, 2, 1), last = neap_argument_integer_or(L, 3, -1);
    if (first < 0) first = first < -length ? 1 : length + first + 1;
    if (first == 0) first = 1;
    if (last < 0) last = last < -length ? 0 : length + last + 1;
    if (last > length) last = length;
    if (first > last)
        lua_pushliteral(L, "");
    else
        lua_pushlstring(L, neap_bytes_at(bytes) + first - 1, (size_t)(last - first) + 1);
    return 1;
}

static int buffer_string(lua_State *L) {
    const struct neap_bytes *bytes = check(L);
    lua_pushlstring(L, neap_bytes_at(bytes), neap_bytes_length(bytes));
    return 1;
}

static int buffer_len(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)neap_bytes_length(check(L)));
    return 1;
}

/* --- numbers, by the functions of the string library --- */

/* Pushes the library's function. */
static void push_library_function(lua_State *L, const char *name) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_STRLIBNAME) != LUA_TTABLE) luaL_error(L, "there is no string.%s in this state", name);
    lua_getfield(L, -1, name);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* b:pack(position, format, ...) -> position behind it */
static int buffer_pack(lua_State *L) {
    struct neap_bytes *bytes = check(L);
    lua_Integer position = neap_argument_integer(L, 2);
    neap_argument_string(L, 3, NULL);
    push_library_function(L, "pack");
    lua_insert(L, 3);
    lua_call(L, lua_gettop(L) - 3, 1);
    size_t size;
    const char *packed = neap_argument_string(L, -1, &size);
    copy(L, bytes, check_place(L, bytes, position, size), packed, size);
    lua_pushinteger(L, position + (lua_Integer)size);
    return 1;
}

/* How many bytes the format at `index` takes, if it always takes as many; else all that are left. */
static size_t measure(lua_State *L, int index, size_t left) {
    push_library_function(L, "packsize");
    lua_pushvalue(L, index);
    lua_Integer size = lua_pcall(L, 1, 1, 0) == LUA_OK ? lua_tointeger(L, -1) : -1;
    lua_pop(L, 1);
    return size >= 0 && (size_t)size < left ? (size_t)size : left;
}

/* b:unpack(position, format) -> values..., position behind them */
static int buffer_unpack(lua_State *L) {
    const struct neap_bytes *bytes = check(L);
    lua_Integer position = neap_argument_integer(L, 2);
    neap_argument_string(L, 3, NULL);
    lua_settop(L, 3);
    size_t offset = check_place(L, bytes, position, 0);
    size_t size = measure(L, 3, neap_bytes_length(bytes) - offset);
    push_library_function(L, "unpack");
    lua_pushvalue(L, 3);
    lua_pushlstring(L, neap_bytes_at(bytes) + offset, size);
    lua_call(L, 2, LUA_MULTRET);
    lua_pushinteger(L, lua_tointeger(L, -1) + position - 1);
    lua_replace(L, -2);
    return lua_gettop(L) - 3;
}

/* --- views and seals --- */

/* b:slice([first[, last]]) */
static int buffer_slice(lua_State *L) {
    struct neap_bytes *bytes = check(L);
    size_t count, offset = check_range(L, bytes, 2, &count);
    neap_object_unref(neap_box_share(L, 1)); /* the view refers to it, and may go to another thread */
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_BUFFER, sizeof *box, 0);
    struct neap_bytes *view = neap_bytes_view(bytes, offset, count);
    if (view == NULL) return neap_shared_fail(L, NEAP_NOMEM);
    box->object = &view->mapped.object;
    return 1;
}

static int buffer_seal(lua_State *L) {
    neap_bytes_seal(check(L));
    lua_settop(L, 1);
    return 1;
}

static int buffer_is_sealed(lua_State *L) {
    lua_pushboolean(L, neap_bytes_is_sealed(check(L)));
    return 1;
}

/* --- bytes by index --- */

static bool is_index(lua_State *L, lua_Integer *index) {
    int is_integer;
    *index = lua_tointegerx(L, 2, &is_integer);
    return is_integer && lua_type(L, 2) == LUA_TNUMBER;
}

/* buffer[key]; upvalue 1 is the table of methods. */
static int buffer_item(lua_State *L) {
    const struct neap_bytes *bytes = check(L);
    lua_Integer index;
    if (is_index(L, &index)) {
        size_t offset = check_place(L, bytes, index, 1);
        lua_pushinteger(L, (unsigned char)neap_bytes_at(bytes)[offset]);
        return 1;
    }
    if (lua_type(L, 2) == LUA_TNUMBER) return luaL_error(L, "index %f is no integer", lua_tonumber(L, 2));
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

static int buffer_newindex(lua_State *L) {
    struct neap_bytes *bytes = check(L);
    lua_Integer index;
    if (!is_index(L, &index)) return luaL_error(L, "a buffer has no field '%s' to set", luaL_tolstring(L, 2, NULL));
    char byte = (char)check_byte(L, 3);
    copy(L, bytes, check_place(L, bytes, index, 1), &byte, 1);
    return 0;
}

/* --- making --- */

/* neap.buffer(size | string) */
int neap_buffer_open(lua_State *L) {
    bool is_size = lua_type(L, 1) == LUA_TNUMBER;
    if (!is_size && lua_type(L, 1) != LUA_TSTRING) return neap_argument_type_error(L, 1, "size or string");
    size_t size = 0;
    const char *text = is_size ? NULL : lua_tolstring(L, 1, &size);
    if (is_size) {
        lua_Integer wanted = neap_argument_integer(L, 1);
        neap_argument_check(L, wanted >= 0, 1, "a size must not be negative");
        size = (size_t)wanted;
    }
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_BUFFER, sizeof *box, 0);
    struct neap_cells *cells = neap_engine_cells(neap_vm_of(L)->engine);
    struct neap_bytes *bytes;
    int code = cells == NULL ? NEAP_NOMEM : neap_bytes_new(cells, size, &bytes);
    if (code < 0) return neap_shared_fail(L, code);
    box->object = &bytes->mapped.object;
    if (text != NULL) memcpy(neap_bytes_at(bytes), text, size);
    neap_box_account(L, size);
    return 1;
}

/* "1000 bytes, sealed" */
static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_bytes *bytes = (struct neap_bytes *)object;
    snprintf(text, size, "%zu bytes%s", neap_bytes_length(bytes), neap_bytes_is_sealed(bytes) ? ", sealed" : "");
}

static const luaL_Reg methods[] = {{"fill", buffer_fill}, {"is_sealed", buffer_is_sealed}, {"pack", buffer_pack},
                                   {"seal", buffer_seal}, {"slice", buffer_slice},         {"string", buffer_string},
                                   {"sub", buffer_sub},   {"unpack", buffer_unpack},       {"write", buffer_write},
                                   {NULL, NULL}};
static const luaL_Reg metamethods[] = {
    {"__eq", neap_shared_eq}, {"__len", buffer_len}, {"__newindex", buffer_newindex}, {NULL, NULL}};

const struct neap_binding neap_buffer_binding = {
    .name = "buffer",
    .class = &neap_bytes_class,
    .methods = methods,
    .metamethods = metamethods,
    .item = buffer_item,
    .describe = describe,
};
