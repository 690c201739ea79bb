/* http: requests from the bytes of a stream.
 *
 *   incoming(stream, head_max, body_max) -> incoming      the requests that come over it, one after the other
 *   incoming:receive(idle, seconds) -> request, body      the next one, without its body. `idle`: how many seconds may
 *                                                         pass before it begins; `seconds`: before its head is whole.
 *                                                         body: nil, "body", or "continue": the client waits for leave
 *                                                         to send it
 *                                   -> nil, status        to refuse it with; the connection is of no use any more
 *                                   -> nil                there are no more
 *   incoming:read(what, seconds)                          its body, as stream:read; nil, message, status: refused
 *   incoming:is_done() -> boolean                         is all of its body read?
 *   incoming:close()                                      forgets what has come; the stream is not closed
 *
 * A request is a table: method, target, path, headers, minor (of its version), keeps_alive. The Lua
 * half makes it what scripts see. */
#include "bindings/io/http.h"

#include <ctype.h>
#include <string.h>

#include "bindings/handle/box.h"
#include "bindings/io/reading.h"
#include "bindings/io/stream.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "io/http_request.h"

#define INCOMING_TYPE "neap.http.incoming"
#define HEADERS_TYPE "neap.http.headers"

enum { SELF = 1, DEADLINE, SECONDS };        /* the stack of receive */
enum { NUMBER = NEAP_READING_DEADLINE + 1 }; /* and of read, behind what it is asked for */

struct incoming {
    struct neap_byte_stream *stream; /* kept by the box in the user value */
    struct neap_http_request request;
    struct neap_inbox body; /* what has come of it and was not read */
    lua_Integer number;     /* of the request: who still waits for the body of another one gets nothing */
    bool discards;          /* closed: nothing more is read */
};

static struct incoming *check(lua_State *L) { return luaL_checkudata(L, SELF, INCOMING_TYPE); }

/* --- headers --- */

/* headers_type(metatable): of tables of headers, whose names are in lower case, from now on. */
static int set_headers_type(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, HEADERS_TYPE);
    return 0;
}

static void push_lower(lua_State *L, const char *bytes, size_t size) {
    luaL_Buffer buffer;
    char *lower = luaL_buffinitsize(L, &buffer, size);
    for (size_t i = 0; i < size; i++) lower[i] = (char)tolower((unsigned char)bytes[i]);
    luaL_pushresultsize(&buffer, size);
}

static void push_trimmed(lua_State *L, const char *bytes, size_t size) {
    while (size > 0 && (bytes[size - 1] == ' ' || bytes[size - 1] == '\t')) size--;
    lua_pushlstring(L, bytes, size);
}

/* The table of headers is below: name and value are on top. One that came before is joined with it. */
static void set_header(lua_State *L) {
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -4) == LUA_TNIL) {
        lua_pop(L, 1);
    } else {
        lua_pushstring(L, strcmp(lua_tostring(L, -3), "cookie") == 0 ? "; " : ", ");
        lua_rotate(L, -3, 2);
        lua_concat(L, 3);
    }
    lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const struct neap_http_request *request, const char *base) {
    lua_createtable(L, 0, (int)request->count);
    for (uint32_t i = 0; i < request->count; i++) {
        const struct neap_http_field *field = &request->fields[i];
        push_lower(L, base + field->name.start, field->name.size);
        push_trimmed(L, base + field->value.start, field->value.size);
        set_header(L);
    }
    luaL_setmetatable(L, HEADERS_TYPE);
}

/* --- the target --- */

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Pushes what stands for `bytes`, where %20 is a space. Two characters that are no number stay as they are. */
static void push_decoded(lua_State *L, const char *bytes, size_t size, bool plus) {
    luaL_Buffer buffer;
    char *decoded = luaL_buffinitsize(L, &buffer, size);
    size_t length = 0;
    for (size_t i = 0; i < size; i++) {
        bool coded = bytes[i] == '%' && i + 2 < size && digit(bytes[i + 1]) >= 0 && digit(bytes[i + 2]) >= 0;
        if (coded) {
            decoded[length++] = (char)(digit(bytes[i + 1]) << 4 | digit(bytes[i + 2]));
            i += 2;
        } else {
            decoded[length] = bytes[i];
            if (plus && bytes[i] == '+') decoded[length] = ' ';
            length++;
        }
    }
    luaL_pushresultsize(&buffer, length);
}

/* decode(bytes) -> what a form means by them: "a+b%21" is "a b!" */
static int http_decode(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    push_decoded(L, bytes, size, true);
    return 1;
}

/* Pushes the path of a target: "/a%20b?c", or the same behind scheme and host, is "/a b"; what has none is itself. */
static void push_path(lua_State *L, const char *target, size_t size, bool connects) {
    struct http_parser_url url;
    if (size > 0 && target[0] != '/' && !connects) {
        http_parser_url_init(&url);
        if (http_parser_parse_url(target, size, 0, &url) == 0 && url.field_set & 1u << UF_SCHEMA) {
            size_t start = url.field_data[UF_PATH].off;
            push_path(L, start > 0 ? target + start : "/", start > 0 ? size - start : 1, false);
            return;
        }
    }
    const char *end = memchr(target, '?', size);
    if (end != NULL) size = (size_t)(end - target);
    if (memchr(target, '%', size) != NULL)
        push_decoded(L, target, size, false);
    else
        lua_pushlstring(L, target, size);
}

/* --- receiving --- */

/* Pushes the request whose head is whole, and what is to be done for its body. */
static int push_request(lua_State *L, struct incoming *incoming) {
    struct neap_http_request *request = &incoming->request;
    struct neap_inbox *inbox = &incoming->stream->inbox;
    const char *base = neap_inbox_peek(inbox), *target = base + request->target.start;
    lua_createtable(L, 0, 8);
    lua_pushstring(L, http_method_str((enum http_method)request->parser.method));
    lua_setfield(L, -2, "method");
    lua_pushlstring(L, target, request->target.size);
    lua_setfield(L, -2, "target");
    push_path(L, target, request->target.size, request->parser.method == HTTP_CONNECT);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, request->parser.http_minor);
    lua_setfield(L, -2, "minor");
    lua_pushboolean(L, request->keeps_alive);
    lua_setfield(L, -2, "keeps_alive");
    push_headers(L, request, base);
    if (!neap_http_request_has_body(request)) {
        lua_setfield(L, -2, "headers");
        neap_http_request_take_head(request, inbox);
        return 1;
    }
    lua_pushliteral(L, "expect");
    bool waits = lua_rawget(L, -2) == LUA_TSTRING && strcasecmp(lua_tostring(L, -1), "100-continue") == 0 &&
                 request->parser.http_minor > 0; /* an older client does not know what 100 is */
    lua_pop(L, 1);
    lua_setfield(L, -2, "headers");
    lua_pushstring(L, waits ? "continue" : "body");
    neap_http_request_take_head(request, inbox);
    return 2;
}

static int refuse(lua_State *L, int status) {
    if (status == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushinteger(L, status);
    return 2;
}

static int finish_receive(lua_State *L, struct neap_task *task, int code);

/* From the first byte on the time for the head counts. */
static void begin_head(lua_State *L) {
    lua_pushinteger(L, neap_clock_after(lua_tonumber(L, SECONDS)));
    lua_replace(L, DEADLINE);
}

static int go_on_receiving(lua_State *L, struct incoming *incoming) {
    struct neap_byte_stream *stream = incoming->stream;
    for (;;) {
        bool begun = neap_inbox_size(&stream->inbox) > 0;
        int code = begun ? neap_http_request_parse_head(&incoming->request, &stream->inbox) : UV_EAGAIN;
        if (code == 0) return neap_await_served(L, push_request(L, incoming));
        if (code != UV_EAGAIN) return refuse(L, code);
        code = neap_byte_stream_fill(stream, 0);
        if (code == 0) {
            if (!begun) begin_head(L);
            continue;
        }
        if (code != UV_EAGAIN) return 0;
        struct neap_task *task = neap_await_begin(L);
        task->link.object = &stream->poll.object;
        task->link.op = (uint8_t)stream->blocked;
        return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, DEADLINE), finish_receive);
    }
}

static int finish_receive(lua_State *L, struct neap_task *task, int code) {
    struct incoming *incoming = lua_touserdata(L, SELF);
    if (code >= 0) code = task->link.result;
    if (code == 0) return go_on_receiving(L, incoming);
    bool begun = code == NEAP_TIMEOUT && neap_inbox_size(&incoming->stream->inbox) > 0;
    return begun ? refuse(L, HTTP_STATUS_REQUEST_TIMEOUT) : 0;
}

static int incoming_receive(lua_State *L) {
    struct incoming *incoming = check(L);
    int64_t deadline = neap_check_timeout(L, DEADLINE);
    luaL_checknumber(L, SECONDS);
    lua_settop(L, SECONDS);
    lua_pushinteger(L, deadline);
    lua_replace(L, DEADLINE);
    if (incoming->discards || neap_poll_is_closed(&incoming->stream->poll)) return 0;
    if (incoming->request.phase == NEAP_HTTP_DONE) {
        neap_http_request_next(&incoming->request);
        incoming->number++;
    }
    if (neap_inbox_size(&incoming->stream->inbox) > 0) begin_head(L);
    neap_await_begin(L);
    return go_on_receiving(L, incoming);
}

/* --- the body --- */

static int finish_read(lua_State *L, struct neap_task *task, int code);

/* A body that is refused, or does not come to its end. */
static int push_broken(lua_State *L, int status) {
    if (status == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushstring(L, status == HTTP_STATUS_PAYLOAD_TOO_LARGE ? "the body is too large" : "the body is malformed");
    lua_pushinteger(L, status);
    return 3;
}

static int go_on_reading(lua_State *L, struct incoming *incoming) {
    struct neap_byte_stream *stream = incoming->stream;
    lua_Integer what = neap_reading_what(L);
    int count, code;
    if (incoming->discards || lua_tointeger(L, NUMBER) != incoming->number) return neap_push_code(L, NEAP_CLOSED);
    while ((count = neap_reading_take(L, what, &incoming->body)) == 0) {
        code = neap_http_request_parse_body(&incoming->request, &stream->inbox, &incoming->body);
        if (code == 0) {
            count = neap_reading_take(L, what, &incoming->body);
            return count > 0 ? count : neap_reading_take_rest(L, what, &incoming->body);
        }
        if (code != UV_EAGAIN) return push_broken(L, code);
        if (neap_inbox_size(&incoming->body) > 0 && (count = neap_reading_take(L, what, &incoming->body)) > 0) break;
        code = neap_byte_stream_fill(stream, neap_reading_wanted(what, &incoming->body));
        if (code == 0) continue;
        if (code != UV_EAGAIN) return neap_stream_push_failure(L, stream, code == UV_EOF ? UV_ECONNRESET : code);
        struct neap_task *task = neap_await_begin(L);
        task->link.object = &stream->poll.object;
        task->link.op = (uint8_t)stream->blocked;
        return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, NEAP_READING_DEADLINE), finish_read);
    }
    return neap_await_served(L, count);
}

static int finish_read(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_push_code(L, code);
    return go_on_reading(L, lua_touserdata(L, SELF));
}

static int incoming_read(lua_State *L) {
    struct incoming *incoming = check(L);
    neap_reading_begin(L);
    lua_pushinteger(L, incoming->number);
    neap_await_begin(L);
    if (incoming->discards || neap_poll_is_closed(&incoming->stream->poll)) return neap_push_code(L, NEAP_CLOSED);
    return go_on_reading(L, incoming);
}

static int incoming_is_done(lua_State *L) {
    const struct incoming *incoming = check(L);
    lua_pushboolean(L, incoming->request.phase == NEAP_HTTP_DONE && neap_inbox_size(&incoming->body) == 0);
    return 1;
}

/* --- the class --- */

/* Also __close and __gc. */
static int incoming_close(lua_State *L) {
    struct incoming *incoming = check(L);
    incoming->discards = true;
    neap_http_request_fini(&incoming->request);
    neap_inbox_fini(&incoming->body);
    return 0;
}

static void push_incoming_type(lua_State *L) {
    static const luaL_Reg methods[] = {{"receive", incoming_receive},
                                       {"read", incoming_read},
                                       {"is_done", incoming_is_done},
                                       {"close", incoming_close},
                                       {"__close", incoming_close},
                                       {"__gc", incoming_close},
                                       {NULL, NULL}};
    if (!luaL_newmetatable(L, INCOMING_TYPE)) return;
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
}

static int make_incoming(lua_State *L) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)neap_box_check(L, 1, NEAP_HANDLE_STREAM);
    lua_Integer head_max = luaL_checkinteger(L, 2), body_max = luaL_checkinteger(L, 3);
    struct incoming *incoming = lua_newuserdatauv(L, sizeof *incoming, 1);
    memset(incoming, 0, sizeof *incoming);
    incoming->stream = stream;
    neap_http_request_init(&incoming->request, (uint32_t)head_max, (uint64_t)body_max);
    push_incoming_type(L);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

const luaL_Reg neap_http_functions[] = {{"decode", http_decode},
                                        {"headers_type", set_headers_type},
                                        {"incoming", make_incoming},
                                        {"response", neap_http_response},
                                        {NULL, NULL}};
