/* standard: the descriptors of standard input, output and error. */
#ifndef NEAP_CORE_STANDARD_H
#define NEAP_CORE_STANDARD_H

/* Sees to it that what is opened from now on does not get the number of one that is closed: what is printed would go
 * there, and libuv ends a process that has it close a descriptor with such a number. Reading and writing them fails as
 * before. Any thread. */
void neap_standard_fill(void);

#endif
