/* passage: an object on its way to another process as a descriptor. The other process makes an object of its own of it,
 * over the same open socket or file; the one that was sent stays as it is. Each time it is sent a new one arrives. */
#ifndef NEAP_CORE_PASSAGE_H
#define NEAP_CORE_PASSAGE_H

struct neap_passage {
    int fd;   /* of whoever has the passage, to be closed by it; -1: there is none */
    int code; /* then: why, as NEAP_CLOSED or UV_EMFILE; else 0 */
};

#endif
