/* embedded: the Lua half of the library, the prompt and the reference, compiled into the binary. Written by the build
 * from scripts/neap, scripts/prompt and bindings/types. */
#ifndef NEAP_BINDINGS_STATE_EMBEDDED_H
#define NEAP_BINDINGS_STATE_EMBEDDED_H

#include <stddef.h>

struct neap_embedded {
    /* "neap.class" is scripts/neap/class.lua, "neap.prompt.show" scripts/prompt/show.lua, "types.channel"
     * bindings/types/channel.lua; NULL ends the list */
    const char *name;
    const char *text; /* its source */
    size_t size;      /* of text, in bytes */
};

extern const struct neap_embedded neap_embedded[];

#endif
