/* embedded: the Lua half of the library, compiled into the binary. Written by the build from scripts/neap. */
#ifndef NEAP_BINDINGS_EMBEDDED_H
#define NEAP_BINDINGS_EMBEDDED_H

#include <stddef.h>

struct neap_embedded {
    const char *name; /* as require knows it: "neap.class" is scripts/neap/class.lua; NULL ends the list */
    const char *text; /* its source */
    size_t size;      /* of text, in bytes */
};

extern const struct neap_embedded neap_embedded[];

#endif
