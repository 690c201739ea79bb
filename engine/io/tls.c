/* tls: OpenSSL with a transport of our own.
 *
 * TRANSPORT  OpenSSL reads from `in` and writes to `out`, two buffers that are there only while they hold
 *            something. So it never waits, and never writes in part: what a write that was cancelled has encrypted
 *            stays in `out`, and goes first with the next. A call that has eaten all of `in` answers UV_EAGAIN;
 *            there is no such answer for `out`.
 * BOTH WAYS  Reading may put something to `out` (the handshake, an alert, an answer to a new key), and writing may need
 *            `in` (the handshake only: renegotiation is refused). Who uses this sends `out` after each call.
 * ERRORS     OpenSSL's queue of errors belongs to the thread: it is emptied before each call, so what is found there is
 *            ours. What has failed stays failed.
 * TRUST      A client looks at the certificate and at the name in it unless it is told not to, a server asks for one
 *            when it is told to. An end that was not announced is no end: someone may have cut off the rest. */
#include "io/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "core/error.h"
#include "core/memory.h"
#include "io/openssl.h"

struct neap_tls_context {
    struct neap_object object; /* first; may be shared */
    SSL_CTX *ssl;              /* owned; OpenSSL counts who uses it, and locks */
    bool server, verify;       /* constant, as below */
    char *alpn;                /* owned; NULL */
    size_t alpn_size;          /* bytes */
};

static const struct neap_openssl *const lib = &neap_openssl; /* loaded before there is a context */

/* --- the transport --- */

static pthread_once_t transport_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *transport; /* made under the once, then constant; NULL: no memory */

static int transport_read(BIO *bio, char *bytes, int size) {
    struct neap_tls *tls = lib->BIO_get_data(bio);
    size_t held = neap_inbox_size(&tls->in);
    lib->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (held == 0) {
        lib->BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    if (held > (size_t)size) held = (size_t)size;
    memcpy(bytes, neap_inbox_peek(&tls->in), held);
    neap_inbox_take(&tls->in, held);
    return (int)held;
}

static int transport_write(BIO *bio, const char *bytes, int size) {
    struct neap_tls *tls = lib->BIO_get_data(bio);
    size_t left = (size_t)size, room;
    lib->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    while (left > 0) {
        char *at = neap_inbox_room(&tls->out, left, &room);
        if (at == NULL) return -1;
        if (room > left) room = left;
        memcpy(at, bytes, room);
        neap_inbox_put(&tls->out, room);
        bytes += room;
        left -= room;
    }
    return size;
}

static long transport_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void make_transport(void) {
    int index = lib->BIO_get_new_index();
    transport = index >= 0 ? lib->BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "neap") : NULL;
    if (transport == NULL) return;
    lib->BIO_meth_set_read(transport, transport_read);
    lib->BIO_meth_set_write(transport, transport_write);
    lib->BIO_meth_set_ctrl(transport, transport_control);
}

/* --- contexts --- */

/* What OpenSSL says of the first error of its last call, which others have followed from. */
static const char *reason(void) {
    unsigned long first = lib->ERR_peek_error();
    const char *text =
        ERR_SYSTEM_ERROR(first) ? neap_code_text(-ERR_GET_REASON(first)) : lib->ERR_reason_error_string(first);
    return text != NULL ? text : "unknown error";
}

/* For a server: the first protocol that it prefers and the client knows. */
static int select_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                           const unsigned char *offered, unsigned offered_size, void *argument) {
    const struct neap_tls_context *context = argument;
    (void)ssl;
    int found = lib->SSL_select_next_proto((unsigned char **)chosen, chosen_size, (const unsigned char *)context->alpn,
                                           (unsigned)context->alpn_size, offered, offered_size);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int refuse_because(char problem[NEAP_TLS_PROBLEM_MAX], const char *file, const char *what, const char *why) {
    snprintf(problem, NEAP_TLS_PROBLEM_MAX, "cannot use %s %s: %s", what, file, why);
    return NEAP_UNTRUSTED;
}

static int refuse(char problem[NEAP_TLS_PROBLEM_MAX], const char *file, const char *what) {
    return refuse_because(problem, file, what, reason());
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int set_trust(SSL_CTX *ssl, const struct neap_tls_options *options, char problem[NEAP_TLS_PROBLEM_MAX]) {
    const char *ca = options->ca;
    int mode = SSL_VERIFY_PEER | (options->server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    lib->SSL_CTX_set_verify(ssl, options->verify ? mode : SSL_VERIFY_NONE, NULL);
    if (!options->verify) return 0;
    if (ca == NULL) {
        lib->SSL_CTX_set_default_verify_paths(ssl);
        return 0;
    }
    bool folder = is_folder(ca);
    int loaded = lib->SSL_CTX_load_verify_locations(ssl, folder ? NULL : ca, folder ? ca : NULL);
    return loaded == 1 ? 0 : refuse(problem, ca, "the certificates of");
}

/* OpenSSL itself would ask at the terminal, and wait there. */
static int give_no_password(char *bytes, int size, int writes, void *asked) {
    (void)bytes;
    (void)size;
    (void)writes;
    *(bool *)asked = true;
    return -1;
}

static int set_identity(SSL_CTX *ssl, const struct neap_tls_options *options, char problem[NEAP_TLS_PROBLEM_MAX]) {
    bool asked = false;
    if (options->cert == NULL) return 0;
    lib->SSL_CTX_set_default_passwd_cb(ssl, give_no_password);
    lib->SSL_CTX_set_default_passwd_cb_userdata(ssl, &asked);
    if (lib->SSL_CTX_use_certificate_chain_file(ssl, options->cert) != 1)
        return refuse(problem, options->cert, "the certificate");
    if (lib->SSL_CTX_use_PrivateKey_file(ssl, options->key, SSL_FILETYPE_PEM) != 1 ||
        lib->SSL_CTX_check_private_key(ssl) != 1)
        return refuse_because(problem, options->key, "the key", asked ? "it is encrypted" : reason());
    lib->SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL); /* nobody asks any more */
    return 0;
}

static int set_alpn(struct neap_tls_context *context, const struct neap_tls_options *options) {
    if (options->alpn_size == 0) return 0;
    context->alpn = neap_alloc(options->alpn_size);
    if (context->alpn == NULL) return NEAP_NOMEM;
    memcpy(context->alpn, options->alpn, options->alpn_size);
    context->alpn_size = options->alpn_size;
    if (options->server)
        lib->SSL_CTX_set_alpn_select_cb(context->ssl, select_protocol, context);
    else if (lib->SSL_CTX_set_alpn_protos(context->ssl, (const unsigned char *)context->alpn,
                                          (unsigned)context->alpn_size) != 0)
        return NEAP_NOMEM;
    return 0;
}

static int set_up(struct neap_tls_context *context, const struct neap_tls_options *options,
                  char problem[NEAP_TLS_PROBLEM_MAX]) {
    static const unsigned char sessions[] = "neap";
    const long modes = SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
    SSL_CTX *ssl = context->ssl;
    lib->SSL_CTX_ctrl(ssl, SSL_CTRL_MODE, modes, NULL);
    lib->SSL_CTX_ctrl(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    lib->SSL_CTX_ctrl(ssl, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    lib->SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    lib->SSL_CTX_set_session_id_context(ssl, sessions, sizeof sessions - 1);
    int code = set_trust(ssl, options, problem);
    if (code == 0) code = set_identity(ssl, options, problem);
    return code == 0 ? set_alpn(context, options) : code;
}

int neap_tls_context_new(const struct neap_tls_options *options, struct neap_tls_context **result,
                         char problem[NEAP_TLS_PROBLEM_MAX]) {
    int code = neap_openssl_load();
    problem[0] = '\0';
    if (code == NEAP_MISSING) {
        snprintf(problem, NEAP_TLS_PROBLEM_MAX,
                 "TLS needs OpenSSL, and %s cannot be loaded (of Debian's package libssl%d)", neap_openssl_name,
                 OPENSSL_SHLIB_VERSION);
    } else if (code != 0) {
        snprintf(problem, NEAP_TLS_PROBLEM_MAX, "cannot load %s: %s", neap_openssl_name, neap_code_text(code));
    }
    if (code != 0) return code;
    struct neap_tls_context *context = neap_alloc_zeroed(sizeof *context);
    if (context == NULL) return NEAP_NOMEM;
    neap_object_init(&context->object, &neap_tls_context_class);
    neap_object_share(&context->object); /* a listener that has it may be sent to any thread */
    context->server = options->server;
    context->verify = options->verify;
    lib->ERR_clear_error();
    context->ssl = lib->SSL_CTX_new(options->server ? lib->TLS_server_method() : lib->TLS_client_method());
    code = context->ssl != NULL ? set_up(context, options, problem) : NEAP_NOMEM;
    if (code == 0)
        *result = context;
    else
        neap_object_unref(&context->object);
    return code;
}

struct neap_object *neap_tls_context_object(struct neap_tls_context *context) {
    return &context->object;
}

static void destroy_context(struct neap_object *object) {
    struct neap_tls_context *context = (struct neap_tls_context *)object;
    if (context->ssl != NULL) lib->SSL_CTX_free(context->ssl);
    neap_free(context->alpn);
    neap_free(context);
}

const struct neap_class neap_tls_context_class = {.name = "tls", .destroy = destroy_context};

/* --- connections --- */

static bool is_address(const char *name) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* A name is told to the server (an address is not), and compared with its certificate. */
static bool expect_name(SSL *ssl, const char *name) {
    if (is_address(name)) return lib->X509_VERIFY_PARAM_set1_ip_asc(lib->SSL_get0_param(ssl), name) == 1;
    lib->SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    void *told = (void *)(uintptr_t)name; /* OpenSSL copies it */
    return lib->SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, told) == 1 &&
           lib->SSL_set1_host(ssl, name) == 1;
}

static bool attach_transport(struct neap_tls *tls) {
    pthread_once(&transport_once, make_transport);
    BIO *bio = transport != NULL ? lib->BIO_new(transport) : NULL;
    if (bio == NULL) return false;
    lib->BIO_set_data(bio, tls);
    lib->BIO_set_init(bio, 1);
    lib->SSL_set_bio(tls->ssl, bio, bio); /* one reference serves both */
    return true;
}

int neap_tls_new(struct neap_tls_context *context, const char *name, struct neap_tls **result) {
    struct neap_tls *tls = neap_alloc_zeroed(sizeof *tls);
    if (tls == NULL) return NEAP_NOMEM;
    neap_object_ref(&context->object);
    tls->context = context;
    tls->ssl = lib->SSL_new(context->ssl);
    bool made = tls->ssl != NULL && attach_transport(tls);
    if (made && !context->server && name != NULL) made = expect_name(tls->ssl, name);
    if (!made) {
        neap_tls_free(tls);
        return NEAP_NOMEM;
    }
    if (context->server)
        lib->SSL_set_accept_state(tls->ssl);
    else
        lib->SSL_set_connect_state(tls->ssl);
    *result = tls;
    return 0;
}

void neap_tls_free(struct neap_tls *tls) {
    if (tls == NULL) return;
    if (tls->ssl != NULL) lib->SSL_free(tls->ssl);
    neap_inbox_fini(&tls->in);
    neap_inbox_fini(&tls->out);
    neap_object_unref(&tls->context->object);
    neap_free(tls);
}

static int fail(struct neap_tls *tls, int code, const char *text) {
    snprintf(tls->problem, sizeof tls->problem, "%s", text);
    tls->failed = code;
    return code;
}

/* Why a call has returned `result`, which is no success. */
static int outcome(struct neap_tls *tls, int result) {
    switch (lib->SSL_get_error(tls->ssl, result)) {
        case SSL_ERROR_WANT_READ: return UV_EAGAIN;
        case SSL_ERROR_ZERO_RETURN: return UV_EOF;
        case SSL_ERROR_WANT_WRITE: return NEAP_NOMEM;
        default: break;
    }
    long verdict = lib->SSL_get_verify_result(tls->ssl);
    bool untrusted = tls->context->verify && !tls->established && verdict != X509_V_OK;
    if (!untrusted) return fail(tls, NEAP_TLS, reason());
    char text[NEAP_TLS_PROBLEM_MAX];
    snprintf(text, sizeof text, "the certificate is not trusted: %s", lib->X509_verify_cert_error_string(verdict));
    return fail(tls, NEAP_UNTRUSTED, text);
}

int neap_tls_handshake(struct neap_tls *tls) {
    if (tls->failed != 0) return tls->failed;
    if (tls->established) return 0;
    lib->ERR_clear_error();
    int result = lib->SSL_do_handshake(tls->ssl);
    if (result != 1) return outcome(tls, result);
    tls->established = true;
    return 0;
}

static int limited(size_t size) { return size < INT_MAX ? (int)size : INT_MAX; }

int neap_tls_read(struct neap_tls *tls, char *bytes, size_t room, size_t *count) {
    *count = 0;
    if (tls->failed != 0) return tls->failed;
    lib->ERR_clear_error();
    int result = lib->SSL_read(tls->ssl, bytes, limited(room));
    if (result <= 0) return outcome(tls, result);
    *count = (size_t)result;
    return 0;
}

int neap_tls_write(struct neap_tls *tls, const char *bytes, size_t size, size_t *count) {
    *count = 0;
    if (tls->failed != 0) return tls->failed;
    lib->ERR_clear_error();
    int result = lib->SSL_write(tls->ssl, bytes, limited(size));
    if (result <= 0) return outcome(tls, result);
    *count = (size_t)result;
    return 0;
}

void neap_tls_end(struct neap_tls *tls) {
    if (tls->ended || !tls->established || tls->failed != 0) return;
    tls->ended = true;
    lib->ERR_clear_error();
    lib->SSL_shutdown(tls->ssl);
}

int neap_tls_cut_off(struct neap_tls *tls) {
    if (tls->failed != 0) return tls->failed;
    return fail(tls, UV_ECONNRESET,
                tls->established ? "the connection was cut off: nobody has said that it ends (TLS's close_notify)"
                                 : "the connection was closed in the middle of TLS's handshake");
}

void neap_tls_facts(const struct neap_tls *tls, struct neap_tls_facts *facts) {
    const unsigned char *alpn = NULL;
    unsigned size = 0;
    memset(facts, 0, sizeof *facts);
    if (!tls->established) return;
    facts->version = lib->SSL_get_version(tls->ssl);
    facts->cipher = lib->SSL_CIPHER_get_name(lib->SSL_get_current_cipher(tls->ssl));
    facts->server_name = lib->SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    lib->SSL_get0_alpn_selected(tls->ssl, &alpn, &size);
    if (size > 0) facts->alpn = (const char *)alpn;
    facts->alpn_size = size;
    X509 *certificate = lib->SSL_get1_peer_certificate(tls->ssl);
    if (certificate == NULL) return;
    lib->X509_NAME_oneline(lib->X509_get_subject_name(certificate), facts->subject, sizeof facts->subject);
    lib->X509_free(certificate);
}
