/* transfer: one errand of an agent.
 *
 * MODEL      libcurl brings and fetches bytes in callbacks, in pieces as they come; the task wants them when it has
 *            time. In between stand `body` and `outgoing`. Where the task is slower than the other side, `body` is
 *            full, and libcurl is told to stop receiving, so the other side feels it; where it gives nothing,
 *            `outgoing` is used up, and libcurl stops sending.
 * NEWS       The task waits for one thing: that there is something to do for it. So a request that is sent in pieces
 *            while its answer comes is done by one task.
 * HEAD       Redirects, refusals of a proxy and "100 Continue" are answers too, each with a head; the last one counts.
 *            Lines that stand behind a body are not kept.
 * BOUNDS     A head that is too long, or a body beyond its limit, fails the transfer where it is noticed: nothing that
 *            the other side sends can use up memory. Bodies are counted as unpacked.
 * STRICT     A body whose length is said in two ways is nobody's: what one reader takes for its end is the middle of
 *            it for another. One length beside chunks does not count, as RFC 9112 has it. A blank before the colon
 *            hides a length from libcurl, and from others not; so does a line end behind it.
 * REWIND     A request may have to be sent once more: to where a redirect leads, or when a connection that was kept
 *            turns out to be dead. A body that was given whole can be; of one in pieces, nothing may have gone yet. */
#include "io/transfer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    STREAM_ROOM = 256 * 1024, /* bytes that wait to be taken before libcurl must stop */
    HEAD_MAX = 256 * 1024     /* bytes of an answer's head */
};

static const char head_too_large[] = "the head is too large";

/* --- news --- */

enum neap_transfer_news neap_transfer_news(const struct neap_transfer *transfer) {
    if (transfer->streams && neap_inbox_size(&transfer->body) > 0) return NEAP_TRANSFER_SOME;
    if (transfer->ended) return NEAP_TRANSFER_ENDED;
    return neap_transfer_is_hungry(transfer) ? NEAP_TRANSFER_HUNGRY : NEAP_TRANSFER_NOTHING;
}

bool neap_transfer_is_hungry(const struct neap_transfer *transfer) { return (transfer->paused & CURLPAUSE_SEND) != 0; }

static void tell(struct neap_transfer *transfer) {
    struct neap_batch batch = {NULL, NULL};
    if (neap_list_is_empty(&transfer->waiting)) return;
    neap_waiters_claim_all(&transfer->waiting, 0, &batch);
    neap_batch_flush(&batch);
}

/* --- callbacks of libcurl; each is given the transfer --- */

/* What libcurl takes for an error of ours: `code` is why, and `reason`, which may be NULL. */
static size_t refuse(struct neap_transfer *transfer, int code, const char *reason) {
    transfer->code = code;
    transfer->reason = reason;
    return 0;
}

static bool put(struct neap_inbox *inbox, const char *bytes, size_t size) {
    while (size > 0) {
        size_t room;
        char *place = neap_inbox_room(inbox, size, &room);
        if (place == NULL) return false;
        if (room > size) room = size;
        memcpy(place, bytes, room);
        neap_inbox_put(inbox, room);
        bytes += room;
        size -= room;
    }
    return true;
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* A method that was asked for by name would be asked for again where libcurl has turned to
 * another: "see other" is to be got. And libcurl would follow any answer between 300 and 399 that names a place, be it
 * that it says "not modified" of what was asked for. */
static void begin_head(struct neap_transfer *transfer) {
    const struct neap_curl *curl = &transfer->agent->curl;
    CURL *easy = transfer->errand.easy;
    int status = neap_transfer_status(transfer);
    neap_inbox_fini(&transfer->head);
    transfer->head_ended = false;
    transfer->length = -1;
    if (status == 303) curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, transfer->follows && is_redirect(status) ? 1L : 0L);
}

static void skip_blanks(const char **place, const char *end) {
    while (*place < end && strchr(" \t\r\n", **place) != NULL) ++*place;
}

/* The number that stands at `place`, which is moved behind it and the blanks around it; -1: none, or one too large. */
static int64_t take_number(const char **place, const char *end) {
    int64_t number = -1;
    skip_blanks(place, end);
    for (; *place < end && **place >= '0' && **place <= '9'; ++*place) {
        if (number > INT64_MAX / 10 - 1) return -1;
        number = (number < 0 ? 0 : number * 10) + (**place - '0');
    }
    skip_blanks(place, end);
    return number;
}

/* Looks whether a line of the head says how long the body is. False: it says no number, or another one than was said
 * before. libcurl would believe the last one. */
static bool check_length(struct neap_transfer *transfer, const char *line, size_t size) {
    static const char name[] = "content-length:";
    const char *place = line + sizeof name - 1, *end = line + size;
    if (size < sizeof name - 1 || strncasecmp(line, name, sizeof name - 1) != 0) return true;
    do {
        int64_t length = take_number(&place, end);
        if (length < 0 || (transfer->length >= 0 && length != transfer->length)) return false;
        transfer->length = length;
        if (place == end) return true;
    } while (*place++ == ','); /* who joins headers that come more than once makes a list of them */
    return false;
}

static bool is_line_of(const char *name, const char *line, size_t size) {
    size_t length = strlen(name);
    return size > length && line[length] == ':' && strncasecmp(line, name, length) == 0;
}

/* Is it a line of that name, with a blank before the colon? */
static bool has_blank_behind(const char *name, const char *line, size_t size) {
    size_t length = strlen(name);
    if (size <= length || strncasecmp(line, name, length) != 0) return false;
    const char *place = line + length, *end = line + size;
    skip_blanks(&place, end);
    return place > line + length && place < end && *place == ':';
}

/* NULL, or why nobody can tell where the body ends. */
static const char *check_framing(struct neap_transfer *transfer, const char *line, size_t size) {
    if (has_blank_behind("Content-Length", line, size) || has_blank_behind("Transfer-Encoding", line, size))
        return "the head has a blank before a colon";
    if (transfer->frames && (line[0] == ' ' || line[0] == '\t'))
        return "the head says in two lines where the body ends";
    transfer->frames = is_line_of("Content-Length", line, size) || is_line_of("Transfer-Encoding", line, size);
    return check_length(transfer, line, size) ? NULL : "the head says no one Content-Length";
}

/* It waits for more to send while it is being answered: see HUNGRY in agent.c. */
static void note_hunger(struct neap_transfer *transfer) {
    if (transfer->head_ended && transfer->paused & CURLPAUSE_SEND)
        neap_agent_note_hunger(transfer->agent, &transfer->errand);
}

static size_t receive_head(char *line, size_t unit, size_t count, void *context) {
    struct neap_transfer *transfer = context;
    size_t size = unit * count;
    transfer->moved_at = neap_clock_now();
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) begin_head(transfer);
    if (transfer->head_ended) return size;
    if (neap_inbox_size(&transfer->head) + size > HEAD_MAX) return refuse(transfer, UV_EMSGSIZE, head_too_large);
    const char *problem = check_framing(transfer, line, size);
    if (problem != NULL) return refuse(transfer, UV_EPROTO, problem);
    if (!put(&transfer->head, line, size)) return refuse(transfer, NEAP_NOMEM, NULL);
    transfer->head_ended = size <= 2 && line[0] != ' ' && line[0] != '\t';
    transfer->errand.has_news = true;
    note_hunger(transfer);
    return size;
}

static size_t receive_body(char *bytes, size_t unit, size_t count, void *context) {
    struct neap_transfer *transfer = context;
    size_t size = unit * count;
    if (transfer->streams && neap_inbox_size(&transfer->body) >= STREAM_ROOM) {
        transfer->paused |= CURLPAUSE_RECV;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (size > transfer->body_left) return refuse(transfer, UV_EMSGSIZE, "the body is larger than max_body");
    if (!put(&transfer->body, bytes, size)) return refuse(transfer, NEAP_NOMEM, NULL);
    transfer->body_left -= size;
    transfer->received += size;
    transfer->errand.has_news = true;
    transfer->moved_at = neap_clock_now();
    if (transfer->streams) tell(transfer);
    return size;
}

static size_t send_body(char *room, size_t unit, size_t count, void *context) {
    struct neap_transfer *transfer = context;
    size_t size = unit * count, left = transfer->outgoing_size - transfer->sent;
    if (size > left) size = left;
    if (size == 0 && !transfer->complete) {
        transfer->paused |= CURLPAUSE_SEND;
        note_hunger(transfer);
        tell(transfer);
        return CURL_READFUNC_PAUSE;
    }
    if (size > 0) memcpy(room, transfer->outgoing + transfer->sent, size);
    transfer->sent += size;
    transfer->moved_at = neap_clock_now();
    return size;
}

/* See REWIND. */
static int rewind_body(void *context, curl_off_t offset, int whence) {
    struct neap_transfer *transfer = context;
    if (whence != SEEK_SET || offset != 0 || transfer->given > 0) return CURL_SEEKFUNC_CANTSEEK;
    transfer->sent = 0;
    transfer->paused &= ~CURLPAUSE_SEND; /* it asks from the beginning, and what is there has to go first */
    return CURL_SEEKFUNC_OK;
}

/* libcurl's own way leaves sockets to programs that are started meanwhile, and does not tell why there is none. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    struct neap_transfer *transfer = context;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) transfer->unopened = -errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* --- the end --- */

static bool is_encrypted(const struct neap_transfer *transfer) {
    char *scheme = NULL;
    transfer->agent->curl.easy_getinfo(transfer->errand.easy, CURLINFO_SCHEME, &scheme);
    return scheme != NULL && strcasecmp(scheme, "https") == 0;
}

/* Who writes to a connection that was reset may be told that it is a broken pipe. */
static int code_of_reset(long error) { return error == EPIPE ? UV_ECONNRESET : (int)-error; }

/* Of a connection that cannot be used any more. libcurl says the same of one that is reset, of a proxy that does not
 * lead on, and of a body whose chunks are malformed; and TLS that ends without a word is no error of the system. */
static int code_of_break(const struct neap_transfer *transfer, long error) {
    long tunnel = 0;
    transfer->agent->curl.easy_getinfo(transfer->errand.easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    if (tunnel >= 300) return UV_ECONNREFUSED;
    if (error > 0) return code_of_reset(error);
    return is_encrypted(transfer) ? UV_ECONNRESET : UV_EPROTO;
}

/* TLS was not agreed upon. libcurl says the same where the connection has ended meanwhile. */
static int code_of_handshake(const struct neap_transfer *transfer, long error) {
    bool ended =
        strstr(transfer->problem, "SSL_ERROR_SYSCALL") != NULL || strstr(transfer->problem, "unexpected eof") != NULL;
    return ended || error == ECONNRESET || error == EPIPE ? UV_ECONNRESET : NEAP_TLS;
}

/* What is no URL of a proxy is told by libcurl as if it could not be reached, with the password in it. */
static bool has_bad_proxy(const struct neap_transfer *transfer) {
    static const char text[] = "Unsupported proxy";
    return strncmp(transfer->problem, text, sizeof text - 1) == 0;
}

/* 0, or the code for what libcurl says. */
static int code_of(const struct neap_transfer *transfer, CURLcode code) {
    const struct neap_curl *curl = &transfer->agent->curl;
    long error = 0, asked = 0;
    curl->easy_getinfo(transfer->errand.easy, CURLINFO_OS_ERRNO, &error);
    curl->easy_getinfo(transfer->errand.easy, CURLINFO_REQUEST_SIZE, &asked);
    if (code != CURLE_OK && has_bad_proxy(transfer)) return UV_EINVAL;
    switch (code) {
        case CURLE_OK: return transfer->head_ended ? 0 : UV_EOF; /* in the middle of a head it says nothing */
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY: return UV_EAI_NONAME;
        case CURLE_COULDNT_CONNECT:
            if (error > 0) return (int)-error;
            return transfer->unopened != 0 ? transfer->unopened : UV_ECONNREFUSED;
        case CURLE_SEND_ERROR: return error > 0 ? code_of_reset(error) : UV_ECONNRESET;
        case CURLE_RECV_ERROR: return code_of_break(transfer, error);
        case CURLE_GOT_NOTHING:
        case CURLE_PARTIAL_FILE: return UV_EOF;
        case CURLE_OPERATION_TIMEDOUT: return NEAP_TIMEOUT;
        case CURLE_TOO_MANY_REDIRECTS: return UV_ELOOP;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL: return asked == 0 ? UV_EINVAL : UV_EPROTO; /* what does not speak HTTP */
        case CURLE_SSL_CONNECT_ERROR: return code_of_handshake(transfer, error);
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_PEER_FAILED_VERIFICATION: return NEAP_UNTRUSTED;
        /* a line of a head that is longer than libcurl takes is no other error there */
        case CURLE_OUT_OF_MEMORY:
            return transfer->head_ended || neap_inbox_size(&transfer->head) == 0 ? NEAP_NOMEM : UV_EMSGSIZE;
        default: return UV_EPROTO;
    }
}

static void say(struct neap_transfer *transfer, const char *problem) {
    snprintf(transfer->problem, sizeof transfer->problem, "%s", problem);
}

static void ended(struct neap_errand *errand, CURLcode code) {
    struct neap_transfer *transfer = NEAP_CONTAINER_OF(errand, struct neap_transfer, errand);
    if (code == CURLE_OK || transfer->code == 0) transfer->code = code_of(transfer, code);
    if (transfer->code == UV_EOF && code == CURLE_OK)
        say(transfer, "the answer ends in its head");
    else if (transfer->unopened != 0 && transfer->code == transfer->unopened)
        say(transfer, neap_code_text(transfer->code));
    else if (code != CURLE_OK && transfer->reason != NULL)
        say(transfer, transfer->reason);
    else if (transfer->code == UV_EMSGSIZE)
        say(transfer, head_too_large);
    else if (code == CURLE_SSL_CONNECT_ERROR && transfer->code == UV_ECONNRESET)
        say(transfer, "the connection was closed in the middle of TLS's handshake");
    else if (code != CURLE_OK && has_bad_proxy(transfer))
        say(transfer, "there is no such proxy");
    else if (code != CURLE_OK && transfer->problem[0] == '\0')
        say(transfer, transfer->agent->curl.easy_strerror(code));
    transfer->paused = 0;
    transfer->ended = true;
    tell(transfer);
}

/* --- beginning --- */

static void look_again(struct neap_errand *errand);

#define SET(option, value) (curl->easy_setopt(easy, option, value) == CURLE_OK)

static bool set_text(const struct neap_curl *curl, CURL *easy, CURLoption option, const char *text) {
    return text == NULL || SET(option, text);
}

static bool add_header(struct neap_transfer *transfer, const char *line) {
    struct curl_slist *longer = transfer->agent->curl.slist_append(transfer->headers, line);
    if (longer != NULL) transfer->headers = longer;
    return longer != NULL;
}

static bool has_header(const struct neap_transfer_plan *plan, const char *name) {
    size_t length = strlen(name);
    for (const char *const *line = plan->headers; *line != NULL; line++)
        if (strncasecmp(*line, name, length) == 0) return true;
    return false;
}

/* What libcurl would add of its own to a request with a body, and is not to: a type that is a guess, and a question
 * that few servers answer before a second has passed. That it comes in chunks must be said by libcurl itself: what
 * stands among the headers is said again where a redirect leads to, by a request without a body. */
static bool set_headers(struct neap_transfer *transfer, const struct neap_transfer_plan *plan) {
    const struct neap_curl *curl = &transfer->agent->curl;
    CURL *easy = transfer->errand.easy;
    for (const char *const *line = plan->headers; *line != NULL; line++)
        if (!add_header(transfer, *line)) return false;
    bool sends = plan->gives || plan->body != NULL;
    if (sends && !has_header(plan, "Expect:") && !add_header(transfer, "Expect:")) return false;
    if (sends && !has_header(plan, "Content-Type:") && !add_header(transfer, "Content-Type:")) return false;
    return transfer->headers == NULL || SET(CURLOPT_HTTPHEADER, transfer->headers);
}

static bool set_method(struct neap_transfer *transfer, const struct neap_transfer_plan *plan) {
    const struct neap_curl *curl = &transfer->agent->curl;
    CURL *easy = transfer->errand.easy;
    if (plan->gives || plan->body != NULL) {
        bool posts = strcmp(plan->method, "POST") == 0, puts = strcmp(plan->method, "PUT") == 0;
        if (!SET(CURLOPT_READFUNCTION, send_body) || !SET(CURLOPT_READDATA, transfer)) return false;
        if (!SET(CURLOPT_SEEKFUNCTION, rewind_body) || !SET(CURLOPT_SEEKDATA, transfer)) return false;
        if (posts) return SET(CURLOPT_POST, 1L) && SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)plan->body_size);
        if (!SET(CURLOPT_UPLOAD, 1L) || !SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)plan->body_size)) return false;
        return puts || SET(CURLOPT_CUSTOMREQUEST, plan->method);
    }
    if (strcmp(plan->method, "GET") == 0) return true;
    if (strcmp(plan->method, "HEAD") == 0) return SET(CURLOPT_NOBODY, 1L);
    return SET(CURLOPT_CUSTOMREQUEST, plan->method);
}

static bool set_callbacks(struct neap_transfer *transfer) {
    const struct neap_curl *curl = &transfer->agent->curl;
    CURL *easy = transfer->errand.easy;
    return SET(CURLOPT_HEADERFUNCTION, receive_head) && SET(CURLOPT_HEADERDATA, transfer) &&
           SET(CURLOPT_WRITEFUNCTION, receive_body) && SET(CURLOPT_WRITEDATA, transfer) &&
           SET(CURLOPT_OPENSOCKETFUNCTION, open_socket) && SET(CURLOPT_OPENSOCKETDATA, transfer) &&
           SET(CURLOPT_ERRORBUFFER, transfer->problem);
}

/* No signals; nothing but HTTP, neither asked for nor led to; names are not waited for when it is broken off. */
static bool set_bounds(const struct neap_curl *curl, CURL *easy, const struct neap_transfer_plan *plan) {
    long verify = plan->verify ? 1L : 0L, connect_ms = plan->connect_ms < LONG_MAX ? (long)plan->connect_ms : LONG_MAX;
#if LIBCURL_VERSION_NUM >= 0x075700
    (void)SET(CURLOPT_QUICK_EXIT, 1L); /* an older library at run time does without */
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
    bool only_http = SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    bool only_http = SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) &&
                     SET(CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    return only_http && SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_SSL_VERIFYPEER, verify) &&
           SET(CURLOPT_SSL_VERIFYHOST, verify * 2) && SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms) &&
           SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static bool set_rest(const struct neap_curl *curl, CURL *easy, const struct neap_transfer_plan *plan) {
    long redirects = plan->redirects < LONG_MAX ? (long)plan->redirects : LONG_MAX;
    return SET(CURLOPT_URL, plan->url) && SET(CURLOPT_MAXREDIRS, redirects) &&
           SET(CURLOPT_COOKIEFILE, "") && /* those of a redirect go with the request that it leads to */
           set_text(curl, easy, CURLOPT_ACCEPT_ENCODING, plan->compressed ? "" : NULL) &&
           set_text(curl, easy, CURLOPT_PROXY, plan->proxy) && set_text(curl, easy, CURLOPT_USERNAME, plan->user) &&
           set_text(curl, easy, CURLOPT_PASSWORD, plan->password) &&
           set_text(curl, easy, CURLOPT_CAINFO, plan->authorities) &&
           set_text(curl, easy, CURLOPT_SSLCERT, plan->certificate) &&
           set_text(curl, easy, CURLOPT_SSLKEY, plan->key) &&
           set_text(curl, easy, CURLOPT_KEYPASSWD, "") && /* else OpenSSL asks for one, at the terminal */
           set_text(curl, easy, CURLOPT_USERAGENT, plan->user_agent);
}

static bool keep_body(struct neap_transfer *transfer, const char *bytes, size_t size) {
    transfer->outgoing = neap_alloc(size + 1); /* there may be no bytes */
    if (transfer->outgoing == NULL) return false;
    memcpy(transfer->outgoing, bytes, size);
    transfer->outgoing_size = size;
    transfer->sent = 0;
    return true;
}

/* 0, or a code. */
static int begin(struct neap_transfer *transfer, const struct neap_transfer_plan *plan) {
    const struct neap_curl *curl = &transfer->agent->curl;
    CURL *easy = transfer->errand.easy = curl->easy_init();
    if (easy == NULL) return NEAP_NOMEM;
    if (plan->body != NULL && !keep_body(transfer, plan->body, (size_t)plan->body_size)) return NEAP_NOMEM;
    bool set = set_bounds(curl, easy, plan) && set_callbacks(transfer) && set_rest(curl, easy, plan) &&
               set_method(transfer, plan) && set_headers(transfer, plan);
    if (!set) return UV_EINVAL;
    return neap_agent_begin(transfer->agent, &transfer->errand) ? 0 : NEAP_NOMEM;
}

int neap_transfer_new(struct neap_agent *agent, const struct neap_transfer_plan *plan, struct neap_transfer **result) {
    struct neap_transfer *transfer = neap_alloc_zeroed(sizeof *transfer);
    if (transfer == NULL) return NEAP_NOMEM;
    neap_object_init(&transfer->object, &neap_transfer_class);
    neap_list_init(&transfer->waiting);
    neap_list_init(&transfer->errand.node);
    transfer->agent = (struct neap_agent *)neap_object_ref(&agent->object);
    transfer->errand.ended = ended;
    transfer->errand.look_again = look_again;
    transfer->body_left = plan->body_limit;
    transfer->moved_at = neap_clock_now();
    transfer->streams = plan->streams;
    transfer->follows = plan->redirects > 0;
    transfer->complete = !plan->gives;
    int code = begin(transfer, plan);
    if (code != 0)
        neap_object_unref(&transfer->object);
    else
        *result = transfer;
    return code;
}

void neap_transfer_close(struct neap_transfer *transfer) {
    if (transfer->errand.easy == NULL) return;
    neap_agent_drop(transfer->agent, &transfer->errand);
    transfer->agent->curl.easy_cleanup(transfer->errand.easy);
    transfer->errand.easy = NULL;
    neap_inbox_fini(&transfer->head);
    neap_inbox_fini(&transfer->body);
    neap_free(transfer->outgoing);
    transfer->outgoing = NULL;
    if (!transfer->ended) transfer->code = NEAP_CLOSED;
    transfer->ended = true;
    transfer->paused = 0;
    tell(transfer);
}

/* --- while it is under way --- */

static void resume(struct neap_transfer *transfer, int direction) {
    if (!(transfer->paused & direction)) return;
    transfer->paused &= ~direction; /* before, for a callback may stop it again at once */
    neap_agent_resume(transfer->agent, &transfer->errand, transfer->paused);
}

static void look_again(struct neap_errand *errand) {
    resume(NEAP_CONTAINER_OF(errand, struct neap_transfer, errand), CURLPAUSE_SEND);
}

void neap_transfer_take(struct neap_transfer *transfer) {
    neap_inbox_fini(&transfer->body);
    resume(transfer, CURLPAUSE_RECV);
}

void neap_transfer_collect(struct neap_transfer *transfer, uint64_t limit) {
    transfer->streams = false;
    if (transfer->body_left > limit) transfer->body_left = limit;
    resume(transfer, CURLPAUSE_RECV);
}

int neap_transfer_give(struct neap_transfer *transfer, const char *bytes, size_t size) {
    NEAP_ASSERT(transfer->sent == transfer->outgoing_size, "what was given before has gone");
    char *gone = transfer->outgoing;
    size_t size_of_gone = transfer->sent;
    if (bytes == NULL) {
        transfer->complete = true;
    } else if (keep_body(transfer, bytes, size)) {
        transfer->given += size_of_gone;
        neap_free(gone);
    } else {
        transfer->outgoing = gone;
        return NEAP_NOMEM;
    }
    resume(transfer, CURLPAUSE_SEND);
    return 0;
}

/* --- what is known --- */

int neap_transfer_status(const struct neap_transfer *transfer) {
    long status = 0;
    transfer->agent->curl.easy_getinfo(transfer->errand.easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *neap_transfer_url(const struct neap_transfer *transfer) {
    char *url = NULL;
    transfer->agent->curl.easy_getinfo(transfer->errand.easy, CURLINFO_EFFECTIVE_URL, &url);
    return url != NULL ? url : "";
}

int64_t neap_transfer_expected(const struct neap_transfer *transfer) {
    curl_off_t size = -1;
    transfer->agent->curl.easy_getinfo(transfer->errand.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    return size;
}

/* --- the class --- */

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    link->result = 0;
    return neap_transfer_news((struct neap_transfer *)object) != NEAP_TRANSFER_NOTHING;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_transfer *)object)->waiting, &link->node);
}

static void destroy(struct neap_object *object) {
    struct neap_transfer *transfer = (struct neap_transfer *)object;
    neap_transfer_close(transfer);
    if (transfer->headers != NULL) transfer->agent->curl.slist_free_all(transfer->headers);
    neap_free(transfer->outgoing);
    neap_object_unref(&transfer->agent->object);
    neap_free(transfer);
}

static const char *const verbs[] = {"news"};

const struct neap_class neap_transfer_class = {
    .name = "transfer",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
};
