/* check: assertions of the test build (-DNEAP_CHECK). Each names the invariant that it holds, as numbered in the
 * essay of its file. And what the thread sanitizer has to be told. Other builds compile them to nothing. */
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

/* What one thread did before NEAP_SENT(place) comes before what another does after NEAP_ANSWERED(place): by way of
 * another process, where the thread sanitizer cannot see it. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define NEAP_SENT(place) __tsan_release(place)
#define NEAP_ANSWERED(place) __tsan_acquire((void *)(place))
#else
#define NEAP_SENT(place) ((void)0)
#define NEAP_ANSWERED(place) ((void)0)
#endif

#endif
