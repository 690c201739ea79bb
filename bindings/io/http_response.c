/* http_response: the bytes of a response. They are composed twice: first to learn how many they are, and whether all of
 * it can be said; then into one string, which is written at once. A finaliser may run in between, and change the
 * headers: what it adds has no room. */
#include <http_parser.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "bindings/io/http.h"
#include "bindings/state/argument.h"

enum { STATUS = 1, HEADERS, BODY, MINOR, IS_HEAD, CLOSES }; /* the stack of response */

/* Where bytes go. */
struct sink {
    char *at;    /* the next one's place; NULL: they are only counted */
    size_t size; /* of all so far */
    size_t room; /* for all; what does not fit is only counted */
};

/* What the headers of a script have said. */
struct said {
    bool type, date, closes;
};

static void put(struct sink *sink, const char *bytes, size_t size) {
    bool fits = sink->at != NULL && sink->size <= sink->room && size <= sink->room - sink->size;
    if (fits) {
        memcpy(sink->at, bytes, size);
        sink->at += size;
    }
    sink->size += size;
}

static void put_text(struct sink *sink, const char *text) { put(sink, text, strlen(text)); }

static void put_number(struct sink *sink, const char *format, unsigned long long number) {
    char text[64];
    put(sink, text, (size_t)snprintf(text, sizeof text, format, number));
}

/* --- headers of the script --- */

static bool is_named(const char *name, size_t size, const char *other) {
    return size == strlen(other) && strncasecmp(name, other, size) == 0;
}

/* A name that would end the header, or begin another. */
static bool is_token(const char *name, size_t size) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(others, c) == NULL)) return false;
    }
    return size > 0;
}

/* The value is on top of the stack. */
static void put_header(lua_State *L, struct sink *sink, const char *name, size_t name_size) {
    size_t size;
    const char *value = lua_isstring(L, -1) ? lua_tolstring(L, -1, &size) : NULL;
    if (value == NULL) neap_refuse(L, "header '%s': string or number expected, got %s", name, luaL_typename(L, -1));
    if (strcspn(value, "\r\n") != size) neap_refuse(L, "header '%s': a value is one line", name);
    put(sink, name, name_size);
    put(sink, ": ", 2);
    put(sink, value, size);
    put(sink, "\r\n", 2);
}

/* What the server says itself is left out. True: it is. */
static bool note(lua_State *L, struct said *said, const char *name, size_t size) {
    if (is_named(name, size, "connection")) {
        said->closes = said->closes || (lua_isstring(L, -1) && strcasecmp(lua_tostring(L, -1), "close") == 0);
        return true;
    }
    said->type = said->type || is_named(name, size, "content-type");
    said->date = said->date || is_named(name, size, "date");
    return is_named(name, size, "content-length") || is_named(name, size, "transfer-encoding");
}

static void put_headers(lua_State *L, struct sink *sink, struct said *said) {
    if (lua_isnoneornil(L, HEADERS)) return;
    for (lua_pushnil(L); lua_next(L, HEADERS) != 0; lua_pop(L, 1)) {
        size_t size = 0;
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &size) : "";
        if (!is_token(name, size)) neap_refuse(L, "'%s' is no name of a header", luaL_tolstring(L, -2, NULL));
        if (lua_istable(L, -1)) {
            lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
            for (lua_Integer i = 1; i <= count; i++) {
                lua_rawgeti(L, -1, i);
                if (!note(L, said, name, size)) put_header(L, sink, name, size);
                lua_pop(L, 1);
            }
        } else {
            lua_pushvalue(L, -1); /* a number becomes a string in place */
            if (!note(L, said, name, size)) put_header(L, sink, name, size);
            lua_pop(L, 1);
        }
    }
}

/* --- headers of the server --- */

/* The present second, as HTTP writes it, whatever the locale: always as many bytes. Each
 * thread writes it out once a second. */
static const char *date(void) {
    static _Thread_local time_t written;
    static _Thread_local char text[64];
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    time_t now = time(NULL);
    if (now == written || gmtime_r(&now, &tm) == NULL) return text;
    written = now;
    snprintf(text, sizeof text, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
             months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return text;
}

static bool has_no_body(lua_Integer status) {
    return status == HTTP_STATUS_NO_CONTENT || status == HTTP_STATUS_NOT_MODIFIED;
}

static const char *reason(lua_Integer status) {
    const char *text = http_status_str((enum http_status)status);
    return text[0] != '<' ? text : "Other";
}

static void put_framing(lua_State *L, struct sink *sink, const struct said *said, lua_Integer status) {
    size_t size;
    if (has_no_body(status)) return;
    if (!said->type) put_text(sink, "Content-Type: text/plain; charset=utf-8\r\n");
    if (lua_tolstring(L, BODY, &size) != NULL)
        put_number(sink, "Content-Length: %llu\r\n", size);
    else if (lua_tointeger(L, MINOR) > 0)
        put_text(sink, "Transfer-Encoding: chunked\r\n");
}

/* Returns whether the connection is closed behind it. */
static bool compose(lua_State *L, struct sink *sink) {
    struct said said = {false, false, lua_toboolean(L, CLOSES)};
    lua_Integer status = lua_tointeger(L, STATUS);
    bool old = lua_tointeger(L, MINOR) == 0;
    put_number(sink, "HTTP/1.1 %03llu ", (unsigned long long)status);
    put_text(sink, reason(status));
    put(sink, "\r\n", 2);
    put_headers(L, sink, &said);
    if (!said.date) put_text(sink, date());
    put_framing(L, sink, &said, status);
    bool closes = said.closes || (old && lua_isnil(L, BODY) && !has_no_body(status));
    if (closes)
        put_text(sink, "Connection: close\r\n");
    else if (old)
        put_text(sink, "Connection: keep-alive\r\n");
    put(sink, "\r\n", 2);
    return closes;
}

static lua_Integer check_status(lua_State *L) {
    int is_integer;
    lua_Integer status = lua_tointegerx(L, STATUS, &is_integer);
    if (lua_type(L, STATUS) == LUA_TSTRING) /* the Lua half would take "204" for another one than 204 */
        neap_refuse(L, "status: an integer between 200 and 999 expected, got '%s'", lua_tostring(L, STATUS));
    if (!is_integer || status < 200 || status > 999)
        neap_refuse(L, "status: an integer between 200 and 999 expected, got %s", luaL_tolstring(L, STATUS, NULL));
    return status;
}

int neap_http_response(lua_State *L) {
    lua_Integer status = check_status(L);
    size_t size = 0;
    luaL_Buffer buffer;
    if (!lua_isnoneornil(L, HEADERS) && !lua_istable(L, HEADERS))
        neap_refuse(L, "headers: table expected, got %s", luaL_typename(L, HEADERS));
    lua_settop(L, CLOSES);
    const char *body = lua_tolstring(L, BODY, &size);
    if (has_no_body(status) || lua_toboolean(L, IS_HEAD)) size = 0;
    struct sink counting = {NULL, 0, 0}, writing = {NULL, 0, 0};
    compose(L, &counting);
    writing.room = counting.size + size;
    writing.at = luaL_buffinitsize(L, &buffer, writing.room);
    bool closes = compose(L, &writing);
    if (size > 0) put(&writing, body, size);
    if (writing.size > writing.room) return luaL_error(L, "the headers were changed by a finaliser");
    luaL_pushresultsize(&buffer, writing.size);
    lua_pushboolean(L, closes);
    return 2;
}
