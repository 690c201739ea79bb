/* tls: TLS 1.2 and 1.3 of one connection, between the bytes that scripts see and those that travel. Nothing here waits,
 * reads or writes a descriptor: who has one moves `in` and `out`. The essay is in tls.c. */
#ifndef NEAP_IO_TLS_H
#define NEAP_IO_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/object.h"
#include "io/inbox.h"

enum { NEAP_TLS_PROBLEM_MAX = 160 /* bytes of a message, with its end */ };

/* What both sides of a connection are told; strings may be NULL. */
struct neap_tls_options {
    bool server;            /* else client */
    bool verify;            /* the other side shows a certificate, and that is checked */
    const char *ca;         /* file or folder of those who are trusted; NULL: whom the system trusts */
    const char *cert, *key; /* files: one's own certificate, with its chain, and its key */
    const char *alpn;       /* names of protocols, each behind a byte with its length; the preferred first */
    size_t alpn_size;       /* bytes of alpn */
};

/* Certificates and choices, for many connections. Any thread may use it once it is made. */
struct neap_tls_context;
extern const struct neap_class neap_tls_context_class;

/* One reference. 0; NEAP_MISSING: there is no OpenSSL; NEAP_UNTRUSTED: a file is of no use; NEAP_NOMEM.
 * `problem` says more. Reads files. */
int neap_tls_context_new(const struct neap_tls_options *options, struct neap_tls_context **result,
                         char problem[NEAP_TLS_PROBLEM_MAX]);
struct neap_object *neap_tls_context_object(struct neap_tls_context *context);

struct neap_tls {
    struct neap_inbox in;               /* encrypted, has come */
    struct neap_inbox out;              /* encrypted, is to go */
    struct neap_tls_context *context;   /* one reference */
    struct ssl_st *ssl;                 /* owned */
    bool established;                   /* the handshake is over */
    bool ended;                         /* we have said that we send no more */
    int failed;                         /* the code of what has gone wrong for good; 0 */
    char problem[NEAP_TLS_PROBLEM_MAX]; /* says more of it */
};

/* `name` is whom a client wants to talk to, as host or address: told to the server, and looked for in its certificate.
 * NULL: anybody. 0, or NEAP_NOMEM. Keeps a reference to the context. */
int neap_tls_new(struct neap_tls_context *context, const char *name, struct neap_tls **result);
void neap_tls_free(struct neap_tls *tls);

/* All of these: 0; UV_EAGAIN: more must come to `in` first; NEAP_UNTRUSTED, NEAP_TLS: it has failed, see `problem`;
 * NEAP_NOMEM. Whatever is answered, what is in `out` is to be sent. */

int neap_tls_handshake(struct neap_tls *tls);
/* Decrypts into `bytes`, at most `room`; *count how many. UV_EOF: the other side has said that it sends no more. */
int neap_tls_read(struct neap_tls *tls, char *bytes, size_t room, size_t *count);
/* Encrypts from `bytes`, at least one of them, to `out`; *count how many. */
int neap_tls_write(struct neap_tls *tls, const char *bytes, size_t size, size_t *count);
/* Says that we send no more. */
void neap_tls_end(struct neap_tls *tls);
/* Nothing more will come: the code of that, UV_ECONNRESET, as nobody has said so. */
int neap_tls_cut_off(struct neap_tls *tls);

/* What was agreed on; NULL: nothing. Pointers are good for as long as it is. */
struct neap_tls_facts {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    const char *server_name;      /* whom the client wanted to talk to */
    const char *alpn;             /* not terminated */
    size_t alpn_size;
    char subject[256]; /* of the other side's certificate, as "/CN=name"; "" when it has shown none */
};
void neap_tls_facts(const struct neap_tls *tls, struct neap_tls_facts *facts);

#endif
