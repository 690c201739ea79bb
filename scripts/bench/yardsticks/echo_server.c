/* Sends back whatever comes over its connections: threads of libuv that share a port (usage: echo_server [threads]).
 * Prints the port, and serves until its input ends. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

enum { ROOM = 64 * 1024, BACKLOG = 511 };

struct reply {
    uv_write_t request; /* first */
    char bytes[];
};

static _Thread_local char room[ROOM];

static void forget(uv_handle_t *handle) { free(handle); }

static void written(uv_write_t *request, int status) {
    (void)status;
    free(request);
}

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    (void)handle;
    (void)size;
    *buffer = uv_buf_init(room, ROOM);
}

/* What can be sent at once needs no copy. */
static void have_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count < 0) {
        uv_close((uv_handle_t *)stream, forget);
        return;
    }
    uv_buf_t bytes = uv_buf_init(buffer->base, (unsigned)count);
    int sent = uv_try_write(stream, &bytes, 1);
    if (sent == count) return;
    if (sent < 0) sent = 0;
    struct reply *reply = malloc(sizeof *reply + (size_t)(count - sent));
    if (reply == NULL) abort();
    for (ssize_t i = sent; i < count; i++) reply->bytes[i - sent] = buffer->base[i];
    bytes = uv_buf_init(reply->bytes, (unsigned)(count - sent));
    uv_write(&reply->request, stream, &bytes, 1, written);
}

static void have_connection(uv_stream_t *server, int status) {
    uv_tcp_t *client = malloc(sizeof *client);
    if (client == NULL || status < 0) abort();
    uv_tcp_init(server->loop, client);
    if (uv_accept(server, (uv_stream_t *)client) != 0) abort();
    uv_tcp_nodelay(client, 1);
    uv_read_start((uv_stream_t *)client, give_room, have_read);
}

static void input_ended(uv_stream_t *input, ssize_t count, const uv_buf_t *buffer) {
    (void)input;
    (void)buffer;
    if (count < 0) exit(0);
}

/* Listens on `port`, or on a free one (0). Which it is. */
static int listen_at(uv_loop_t *loop, int port) {
    struct sockaddr_in address;
    int size = sizeof address, yes = 1;
    uv_os_fd_t fd;
    uv_tcp_t *server = malloc(sizeof *server);
    if (server == NULL || uv_tcp_init_ex(loop, server, AF_INET) != 0 || uv_fileno((uv_handle_t *)server, &fd) != 0)
        abort();
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) != 0) abort();
    uv_ip4_addr("127.0.0.1", port, &address);
    if (uv_tcp_bind(server, (const struct sockaddr *)&address, 0) != 0) abort();
    if (uv_listen((uv_stream_t *)server, BACKLOG, have_connection) != 0) abort();
    uv_tcp_getsockname(server, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

static void serve(void *loop) { uv_run(loop, UV_RUN_DEFAULT); }

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    uv_loop_t *loop = uv_default_loop();
    uv_pipe_t input;
    uv_thread_t thread;
    int port = listen_at(loop, 0);
    for (int i = 1; i < threads; i++) {
        uv_loop_t *other = malloc(sizeof *other);
        if (other == NULL || uv_loop_init(other) != 0) abort();
        listen_at(other, port);
        if (uv_thread_create(&thread, serve, other) != 0) abort();
    }
    printf("%d\n", port);
    fflush(stdout);
    uv_pipe_init(loop, &input, 0);
    uv_pipe_open(&input, 0);
    uv_read_start((uv_stream_t *)&input, give_room, input_ended);
    serve(loop);
    return 0;
}
