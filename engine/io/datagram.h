/* datagram: packets to and from anybody, on the loop of one thread. */
#ifndef NEAP_IO_DATAGRAM_H
#define NEAP_IO_DATAGRAM_H

#include <stddef.h>

#include "io/poll.h"
#include "io/socket.h"

enum { NEAP_DATAGRAM_MAX = 65536 /* bytes: none is larger */ };

/* A poll whose class is this; its operations are a poll's. */
extern const struct neap_class neap_datagram_class;

/* Takes the next packet into `bytes`, which has room for any: 0, UV_EAGAIN, or what the system says. By the loop's
 * thread, as the next one. */
int neap_datagram_receive(struct neap_poll *datagram, char bytes[NEAP_DATAGRAM_MAX], size_t *size,
                          struct neap_address *from);
/* Sends one packet: 0, UV_EAGAIN, or what the system says. */
int neap_datagram_send(struct neap_poll *datagram, const char *bytes, size_t size, const struct neap_address *to);

#endif
