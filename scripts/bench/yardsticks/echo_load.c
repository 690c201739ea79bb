/* What an echo server can do: 50 connections, each of which sends 64 bytes and waits until they have come back.
 * usage: echo_load rate|p99 COMMAND...      the command of a server, which prints its port
 * Prints requests a second, or the seconds within which 99 % of them were answered. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "timing.h"

enum { CONNECTIONS = 50, SIZE = 64, SAMPLES_MAX = 4 * 1000 * 1000 };

static const double warm_up = 0.3, duration = 1.5; /* seconds */

struct connection {
    int fd;
    int come;    /* bytes of the present answer */
    double sent; /* when */
};

static float samples[SAMPLES_MAX];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Starts the server, whose input ends with us: its port. */
static int start(char **command, pid_t *process) {
    int in[2], out[2], port = 0;
    if (pipe(in) != 0 || pipe(out) != 0) fail("pipe");
    *process = fork();
    if (*process == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execvp(command[0], command);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    FILE *answer = fdopen(out[0], "r");
    if (answer == NULL || fscanf(answer, "%d", &port) != 1) {
        fprintf(stderr, "the server has said no port\n");
        exit(1);
    }
    return port;
}

static int dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void ask(struct connection *connection) {
    static const char bytes[SIZE];
    connection->come = 0;
    connection->sent = real_time();
    if (send(connection->fd, bytes, SIZE, MSG_NOSIGNAL) != SIZE) fail("send");
}

/* True: the answer is whole. */
static int take(struct connection *connection) {
    char bytes[SIZE];
    ssize_t count = recv(connection->fd, bytes, (size_t)(SIZE - connection->come), 0);
    if (count <= 0) fail("recv");
    connection->come += (int)count;
    return connection->come == SIZE;
}

static int compare(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    static struct connection connections[CONNECTIONS];
    struct epoll_event events[CONNECTIONS];
    size_t count = 0;
    pid_t server;
    if (argc < 3) return 2;
    int port = start(argv + 2, &server), poll = epoll_create1(0);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        connections[i].fd = dial(port);
        epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &event);
        ask(&connections[i]);
    }
    double from = real_time() + warm_up, to = from + duration, now;
    do {
        int ready = epoll_wait(poll, events, CONNECTIONS, 1000);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!take(connection)) continue;
            now = real_time();
            if (now >= from && count < SAMPLES_MAX) samples[count++] = (float)(now - connection->sent);
            ask(connection);
        }
        now = real_time();
    } while (now < to);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    qsort(samples, count, sizeof *samples, compare);
    if (count == 0) return 1;
    printf("%.9g\n",
           strcmp(argv[1], "p99") == 0 ? (double)samples[count - 1 - count / 100] : (double)count / (now - from));
    return 0;
}
