/* key: what the values of a dict are found by: a string, a number, a boolean, null, or a handle (the object itself).
 *
 * A key is borrowed: it points to bytes or to an object that somebody else keeps. Numbers are as Lua's table has them:
 * one that is a whole number is an integer, NaN is none. */
#ifndef NEAP_SYNC_KEY_H
#define NEAP_SYNC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/message.h"

struct neap_key {
    uint8_t kind; /* enum neap_message_kind; a string is NEAP_MESSAGE_BYTES, whatever its length */
    size_t size;  /* of bytes */
    union {
        const char *bytes;
        int64_t integer;
        double number;
        struct neap_object *object;
    };
};

/* The key that is in a message, which keeps it; false: such a message is none. */
bool neap_key_read(const struct neap_message *message, struct neap_key *key);
/* Makes a message of it: 0 or NEAP_NOMEM. */
int neap_key_write(const struct neap_key *key, struct neap_message *message);

uint64_t neap_key_hash(const struct neap_key *key);
bool neap_key_equals(const struct neap_key *one, const struct neap_key *other);

#endif
