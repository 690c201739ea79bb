/* Sends back whatever comes over its connections: one thread of libuv. Prints its port, and serves until its input ends. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum { ROOM = 64 * 1024, BACKLOG = 511 };

struct reply {
    uv_write_t request; /* first */
    char bytes[];
};

static char room[ROOM];

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
    (void)buffer;
    if (count < 0) uv_stop(input->loop);
}

int main(void) {
    struct sockaddr_in address;
    int size = sizeof address;
    uv_loop_t *loop = uv_default_loop();
    uv_tcp_t server;
    uv_pipe_t input;
    uv_tcp_init(loop, &server);
    uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&server, (const struct sockaddr *)&address, 0) != 0) return 1;
    if (uv_listen((uv_stream_t *)&server, BACKLOG, have_connection) != 0) return 1;
    uv_tcp_getsockname(&server, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_pipe_init(loop, &input, 0);
    uv_pipe_open(&input, 0);
    uv_read_start((uv_stream_t *)&input, give_room, input_ended);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
