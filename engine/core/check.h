/* check: assertions of the test build (-DNEAP_CHECK). Each names the invariant that it holds, as numbered in the
 * essay of its file. Other builds compile them to nothing. */
#ifndef NEAP_CORE_CHECK_H
#define NEAP_CORE_CHECK_H

#ifdef NEAP_CHECK
#include <stdio.h>
#include <stdlib.h>
#define NEAP_ASSERT(condition, rule) \
    ((condition) ? (void)0           \
                 : (fprintf(stderr, "%s:%d: broken rule: %s (%s)\n", __FILE__, __LINE__, rule, #condition), abort()))
#else
#define NEAP_ASSERT(condition, rule) ((void)0)
#endif

#endif
