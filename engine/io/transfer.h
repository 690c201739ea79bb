/* transfer: a request over HTTP and its answer. The essay is in transfer.c. Everything here is
 * used by the loop's thread only. */
#ifndef NEAP_IO_TRANSFER_H
#define NEAP_IO_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/agent.h"
#include "io/inbox.h"

/* Operations of a link. NEWS waits until neap_transfer_news says something. */
enum neap_transfer_op { NEAP_TRANSFER_NEWS };

enum neap_transfer_news {
    NEAP_TRANSFER_NOTHING, /* it is under way */
    NEAP_TRANSFER_SOME,    /* it streams, and a piece of the body is there: see take */
    NEAP_TRANSFER_HUNGRY,  /* it has sent what it was given: see give */
    NEAP_TRANSFER_ENDED    /* and nothing is left to be taken of what streams: see code */
};

/* What is wanted. Strings are copied; NULL: as libcurl has it. */
struct neap_transfer_plan {
    const char *url, *method;   /* never NULL */
    const char *const *headers; /* "Name: value", ended by NULL */
    const char *body;           /* all of it; NULL: none, or it is given piece by piece */
    int64_t body_size;          /* bytes; -1: not known before it ends */
    bool gives;                 /* the body is given piece by piece */
    bool streams;               /* the answer's body is taken piece by piece */
    bool compressed;            /* may it come compressed? It is unpacked either way */
    bool verify;                /* must the other side's certificate be good, and for this host? */
    uint64_t body_limit;        /* bytes of the answer's body, unpacked */
    int64_t redirects;          /* that are followed; 0: none, the answer is the redirect */
    int64_t connect_ms;         /* for name, connection and TLS; 0: as long as it takes */
    const char *proxy, *user, *password, *authorities, *certificate, *key, *user_agent;
};

struct neap_transfer {
    struct neap_object object;  /* first; local for good */
    struct neap_list waiting;   /* links */
    struct neap_agent *agent;   /* one reference */
    struct neap_errand errand;  /* its easy handle is owned; NULL once closed */
    struct curl_slist *headers; /* of the request; owned */
    struct neap_inbox head;     /* status line and header lines of the latest answer */
    struct neap_inbox body;     /* of the answer: what has not been taken */
    char *outgoing;             /* what is to be sent; owned, NULL: nothing */
    size_t outgoing_size, sent; /* bytes of outgoing: all, those that libcurl has taken */
    uint64_t body_left;         /* bytes that may still come of body_limit */
    uint64_t received, given;   /* bytes of the answer's body, and of the request's in whole pieces before `outgoing` */
    int64_t moved_at;           /* when the last have; before that, when it began */
    int paused;                 /* CURLPAUSE_*: directions that our callbacks have stopped */
    bool complete;              /* nothing is to be sent but `outgoing` */
    bool streams;               /* as in the plan, until neap_transfer_collect */
    bool follows;               /* redirects */
    bool frames;                /* the latest header line says where the body ends */
    bool head_ended;            /* what comes of header lines begins another answer, or stands behind the body */
    bool ended;                 /* see code */
    int64_t length;             /* bytes of body that the head promises so far; -1: it has not said */
    int unopened;               /* why a socket could not be made; 0: all could */
    int code;                   /* once ended: 0, or why it failed; before: what a callback has found wrong */
    const char *reason;         /* the same in words, static; NULL: libcurl's will do */
    char problem[CURL_ERROR_SIZE]; /* what libcurl says of it; may be empty */
};

/* Begins it; one reference. 0, NEAP_NOMEM, or UV_EINVAL: libcurl does not take what is planned. */
int neap_transfer_new(struct neap_agent *agent, const struct neap_transfer_plan *plan, struct neap_transfer **result);
/* Breaks it off, and frees all that it has but what stands in the record. Who waits is told that it has
 * ended. Once more does nothing. */
void neap_transfer_close(struct neap_transfer *transfer);

enum neap_transfer_news neap_transfer_news(const struct neap_transfer *transfer);
/* Has it sent what it was given? Also while it has other news. */
bool neap_transfer_is_hungry(const struct neap_transfer *transfer);
/* What stands in `body` has been used. */
void neap_transfer_take(struct neap_transfer *transfer);
/* From now on the rest of the body is kept until the end, up to `limit` bytes if that is less than what was planned. */
void neap_transfer_collect(struct neap_transfer *transfer, uint64_t limit);
/* The next piece of the body; NULL: there is no more. Only when it is hungry. 0, or NEAP_NOMEM. */
int neap_transfer_give(struct neap_transfer *transfer, const char *bytes, size_t size);

/* Of one that is not closed: the status, 0 before there is an answer; where the answer came from, after redirects; and
 * how many bytes of body are expected, -1: nobody knows. */
int neap_transfer_status(const struct neap_transfer *transfer);
const char *neap_transfer_url(const struct neap_transfer *transfer);
int64_t neap_transfer_expected(const struct neap_transfer *transfer);

extern const struct neap_class neap_transfer_class;

#endif
