#include "io/inbox.h"

#include <string.h>

#include "core/memory.h"

enum { READ_MIN = NEAP_INBOX_ROOM_MIN, READ_MAX = 256 * 1024 /* bytes that room is made for at once */ };

void neap_inbox_fini(struct neap_inbox *inbox) {
    neap_free(inbox->bytes);
    *inbox = (struct neap_inbox){NULL, 0, 0, 0};
}

char *neap_inbox_room(struct neap_inbox *inbox, size_t wanted, size_t *size) {
    size_t held = neap_inbox_size(inbox);
    if (wanted < READ_MIN) wanted = READ_MIN;
    if (wanted > READ_MAX) wanted = READ_MAX;
    if (inbox->start > 0 && inbox->room - inbox->end < wanted) {
        memmove(inbox->bytes, inbox->bytes + inbox->start, held);
        inbox->start = 0;
        inbox->end = held;
    }
    if (inbox->room - inbox->end < wanted) {
        size_t room = inbox->room * 2 > held + wanted ? inbox->room * 2 : held + wanted;
        char *bytes = neap_realloc(inbox->bytes, room);
        if (bytes == NULL) return NULL;
        inbox->bytes = bytes;
        inbox->room = room;
    }
    *size = inbox->room - inbox->end;
    return inbox->bytes + inbox->end;
}

void neap_inbox_put(struct neap_inbox *inbox, size_t size) {
    inbox->end += size;
    neap_inbox_take(inbox, 0);
}

void neap_inbox_take(struct neap_inbox *inbox, size_t size) {
    inbox->start += size;
    if (inbox->start == inbox->end) neap_inbox_fini(inbox);
}
