/* drive: who turns the loop of an engine. For host.c. */
#ifndef NEAP_BINDINGS_HOST_DRIVE_H
#define NEAP_BINDINGS_HOST_DRIVE_H

#include "bindings/host/host.h"

/* On the engine's thread, its state being open: prepares the loop for who is going to turn it. 0 or a code. */
int neap_drive_open(struct neap_host *host);
/* After each call of the host into the engine. */
void neap_drive_settle(struct neap_host *host);

/* NEAP_DRIVE_THREAD. START: host->open is called on a new thread, which then turns the loop; 0 or its code, and then
 * there is no thread. END: host->close is called there, and the thread ends if that returns 0; its code. */
int neap_drive_start(struct neap_host *host);
int neap_drive_end(struct neap_host *host);

#endif
