#include "sync/key.h"

#include <string.h>

#include "core/error.h"
#include "core/object.h"

bool neap_key_read(const struct neap_message *message, struct neap_key *key) {
    key->kind = message->kind;
    key->size = 0;
    switch (message->kind) {
        case NEAP_MESSAGE_NULL:
        case NEAP_MESSAGE_FALSE:
        case NEAP_MESSAGE_TRUE: key->integer = 0; return true;
        case NEAP_MESSAGE_INTEGER: key->integer = message->integer; return true;
        case NEAP_MESSAGE_NUMBER: key->number = message->number; return key->number == key->number;
        case NEAP_MESSAGE_OBJECT: key->object = message->object; return true;
        case NEAP_MESSAGE_TEXT:
            key->kind = NEAP_MESSAGE_BYTES;
            key->size = message->length;
            key->bytes = message->text;
            return true;
        case NEAP_MESSAGE_BYTES:
            key->size = message->parcel->size;
            key->bytes = neap_parcel_string(message->parcel);
            return true;
        default: return false;
    }
}

static int write_bytes(const struct neap_key *key, struct neap_message *message) {
    if (key->size <= NEAP_MESSAGE_TEXT_MAX) {
        message->kind = NEAP_MESSAGE_TEXT;
        message->length = (uint8_t)key->size;
        memcpy(message->text, key->bytes, key->size);
        return 0;
    }
    struct neap_parcel *parcel = neap_parcel_new(key->size, 0);
    if (parcel == NULL) return NEAP_NOMEM;
    memcpy(parcel->bytes, key->bytes, key->size);
    message->kind = NEAP_MESSAGE_BYTES;
    message->parcel = parcel;
    return 0;
}

int neap_key_write(const struct neap_key *key, struct neap_message *message) {
    if (key->kind == NEAP_MESSAGE_BYTES) return write_bytes(key, message);
    message->kind = key->kind;
    if (key->kind == NEAP_MESSAGE_OBJECT)
        message->object = neap_object_ref(key->object);
    else
        message->integer = key->integer; /* a number's bits are its bits */
    return 0;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15;
    return hash ^ hash >> 32;
}

uint64_t neap_key_hash(const struct neap_key *key) {
    uint64_t hash = mix(key->kind, key->size), word = 0;
    if (key->kind != NEAP_MESSAGE_BYTES) return mix(hash, (uint64_t)key->integer);
    size_t at = 0;
    for (; key->size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, key->bytes + at, sizeof word);
        hash = mix(hash, word);
    }
    word = 0;
    if (at < key->size) memcpy(&word, key->bytes + at, key->size - at);
    return mix(hash, word);
}

bool neap_key_equals(const struct neap_key *one, const struct neap_key *other) {
    if (one->kind != other->kind || one->size != other->size) return false;
    if (one->kind == NEAP_MESSAGE_BYTES) return memcmp(one->bytes, other->bytes, one->size) == 0;
    return one->integer == other->integer;
}
