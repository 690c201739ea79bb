/* error: the codes that functions of the engine return. 0 is success; libuv's negative codes pass through. */
#ifndef NEAP_CORE_ERROR_H
#define NEAP_CORE_ERROR_H

enum neap_code {
    NEAP_OK = 0,
    NEAP_NOMEM = -12,       /* the allocator said no (the same number as UV_ENOMEM on Linux) */
    NEAP_TIMEOUT = -5001,   /* the deadline came first */
    NEAP_CLOSED = -5002,    /* the object is closed, and drained where it buffers */
    NEAP_FULL = -5003,      /* no room now */
    NEAP_EMPTY = -5004,     /* nothing there now */
    NEAP_BROKEN = -5005,    /* the other side died, or the barrier broke */
    NEAP_CANCELLED = -5006, /* the waiting task was cancelled */
    NEAP_ABANDONED = -5007, /* acquired; the last holder ended without releasing it */
    NEAP_NOT_OWNER = -5008, /* released by somebody who does not hold it */
    NEAP_HELD = -5009,      /* acquired by somebody who holds it already: would wait for itself */
    NEAP_GONE = -5010,      /* the loop that should have taken it has ended */
    NEAP_RANGE = -5011,     /* a count beyond its bound */
    NEAP_BUSY = -5012,      /* somebody else is changing it */
    NEAP_TLS = -5013,       /* the two sides do not agree on TLS, or what came is none */
    NEAP_UNTRUSTED = -5014, /* a certificate that is not trusted, or a file that has none */

    /* of the interface for hosts (bindings/neap.h) */
    NEAP_INVALID = -5101, /* misuse: an argument that cannot be */
    NEAP_FOREIGN = -5102, /* misuse: not this thread's */
    NEAP_FAILED = -5103,  /* Lua raised an error; of pools: so has work of the same batch */
    NEAP_SYNTAX = -5104,  /* it is no Lua */
    NEAP_MISSING = -5105, /* there is nothing of that name */
    NEAP_CPU = -5106,     /* the limit of processor time was reached */
    NEAP_DENIED = -5107   /* the host does not allow it */
};

/* The word scripts see for `code` ("timeout"); libuv's name ("ECONNREFUSED") for what is not the engine's own. */
const char *neap_code_name(int code);
/* The same for the engine's own; a sentence ("connection refused") for what the system says. */
const char *neap_code_text(int code);

#endif
