/* inherited: descriptors that the program has been given, or that something else has opened: its
 * standard input, a terminal, a pipe. */
#ifndef NEAP_IO_INHERITED_H
#define NEAP_IO_INHERITED_H

/* A descriptor of one's own for what `fd` is, to be made non-blocking. 0, or what the system says. */
int neap_inherited_reopen(int fd, int *result);

#endif
