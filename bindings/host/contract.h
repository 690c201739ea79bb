/* contract: what the functions of neap.h demand of their callers. */
#ifndef NEAP_BINDINGS_HOST_CONTRACT_H
#define NEAP_BINDINGS_HOST_CONTRACT_H

#include "core/check.h"
#include "core/error.h"

/* Returns `code` from the calling function unless `condition` holds; the test build ends, and names the rule. */
#define NEAP_CONTRACT(condition, code, rule) \
    do {                                     \
        NEAP_ASSERT(condition, rule);        \
        if (!(condition)) return (code);     \
    } while (0)

#define NEAP_CONTRACT_POINTER(pointer) \
    NEAP_CONTRACT((pointer) != NULL, NEAP_INVALID, "neap.h, RESULTS: no argument is a null pointer unless it may be")

#endif
