#include "core/error.h"

#include <stdbool.h>
#include <string.h>
#include <uv.h>

/* The engine's own word, or NULL. */
static const char *word(int code) {
    switch (code) {
        case NEAP_OK: return "ok";
        case NEAP_NOMEM: return "memory";
        case NEAP_TIMEOUT: return "timeout";
        case NEAP_CLOSED: return "closed";
        case NEAP_FULL: return "full";
        case NEAP_EMPTY: return "empty";
        case NEAP_BROKEN: return "broken";
        case NEAP_CANCELLED: return "cancelled";
        case NEAP_ABANDONED: return "abandoned";
        case NEAP_NOT_OWNER: return "not owner";
        case NEAP_HELD: return "held";
        case NEAP_GONE: return "gone";
        case NEAP_RANGE: return "range";
        case NEAP_BUSY: return "busy";
        case NEAP_TLS: return "tls";
        case NEAP_UNTRUSTED: return "certificate";
        case NEAP_INVALID: return "invalid";
        case NEAP_FOREIGN: return "wrong thread";
        case NEAP_FAILED: return "failed";
        case NEAP_SYNTAX: return "syntax";
        case NEAP_MISSING: return "missing";
        case NEAP_CPU: return "cpu";
        case NEAP_DENIED: return "denied";
        default: return NULL;
    }
}

/* Of other codes, some of the system's (ENOEXEC, EDQUOT) among them, libuv makes a text that nobody ever frees. */
static bool is_of_libuv(int code) {
    switch (code) {
#define CASE_OF(name, text) case UV_##name:
        UV_ERRNO_MAP(CASE_OF) return true;
#undef CASE_OF
        default: return false;
    }
}

const char *neap_code_name(int code) {
    const char *name = word(code);
    if (name != NULL) return name;
    name = is_of_libuv(code) ? uv_err_name(code) : strerrorname_np(-code);
    return name != NULL ? name : "unknown";
}

const char *neap_code_text(int code) {
    const char *text = word(code);
    if (text != NULL) return text;
    text = is_of_libuv(code) ? uv_strerror(code) : strerrordesc_np(-code);
    return text != NULL ? text : "unknown error";
}
